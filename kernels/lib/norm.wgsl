// RMSNorm (Zhang and Sennrich 2019) around the product that follows it: x comes with the gain in it (residual.wgsl), and
// the root mean square divides the sums, since it is the same for the whole row.

override HIDDEN: f32; // values in a row, without padding
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(3) var<storage, read> squares: array<vec4f>; // [MAX_ROWS][(K8 + 1) / 2]: Σ x² of four quads

fn row_factor(row: u32, lane: u32, index: u32) -> f32 {
  var sum = vec4f();
  for (var i = lane; i < squares_stride(); i += LANES) {
    sum += squares[row * squares_stride() + i];
  }
  return inverse_rms(sum_lanes_one(total(sum), index));
}

fn row_factors(row: u32, lane: u32, index: u32) -> vec4f {
  var a = vec4f();
  var b = vec4f();
  var c = vec4f();
  var d = vec4f();
  for (var i = lane; i < squares_stride(); i += LANES) {
    let at = row * squares_stride() + i;
    a += squares[at];
    b += squares[at + squares_stride()];
    c += squares[at + 2u * squares_stride()];
    d += squares[at + 3u * squares_stride()];
  }
  let sums = sum_lanes(vec4f(total(a), total(b), total(c), total(d)), index);
  return vec4f(inverse_rms(sums.x), inverse_rms(sums.y), inverse_rms(sums.z), inverse_rms(sums.w));
}

fn squares_stride() -> u32 {
  return (K8 + 1u) / 2u;
}

// One operation in one place, so that no compiler makes one path's of a product and a sum, and the other's of both at once.
fn inverse_rms(squares: f32) -> f32 {
  return inverseSqrt(fma(squares, 1.0 / HIDDEN, EPSILON));
}

fn total(v: vec4f) -> f32 {
  return v.x + v.y + v.z + v.w;
}
