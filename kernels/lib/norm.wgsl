// RMSNorm (Zhang and Sennrich 2019) around the product that follows it: x comes with the gain in it (residual.wgsl), and
// the root mean square divides the sums, since it is the same for the whole row.

override HIDDEN: f32; // values in a row, without padding
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(3) var<storage, read> squares: array<vec4f>; // [MAX_ROWS][(K8 + 1) / 2]: Σ x² of four quads

fn row_factor(row: u32, lane: u32, index: u32) -> f32 {
  let width = (K8 + 1u) / 2u;
  let end = (row + 1u) * width;
  var sum = vec4f();
  var i = row * width + lane;
  // This comes after the product, when a workgroup has nothing else to do: it should not wait for each load alone.
  for (; i + 3u * LANES < end; i += 4u * LANES) {
    let a = squares[i];
    let b = squares[i + LANES];
    let c = squares[i + 2u * LANES];
    let d = squares[i + 3u * LANES];
    sum = sum + a + b + c + d;
  }
  for (; i < end; i += LANES) {
    sum += squares[i];
  }
  sum = sum_lanes(sum, index);
  return inverseSqrt((sum.x + sum.y + sum.z + sum.w) / HIDDEN + EPSILON);
}
