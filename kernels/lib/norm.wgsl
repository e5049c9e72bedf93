// RMSNorm (Zhang and Sennrich 2019) around the product that follows it: x comes with the gain in it (residual.wgsl), and
// the root mean square divides the sums, since it is the same for the whole row.
//
// norm_ahead.wgsl or norm_vector.wgsl supply
//   sum_squares(first, end) -> vec4f,  the sum of a lane's squares: every LANES-th, in their order.
//
// The lanes add up four rows at once: what that takes counts where rows are many (as much as an eighth of the product, in 8
// rows of Mistral-7B on NVIDIA, were it row by row).

override HIDDEN: f32; // values in a row, without padding
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(3) var<storage, read> squares: array<vec4f>; // [MAX_ROWS][(K8 + 1) / 2]: Σ x² of four quads

fn row_factors(row: u32, count: u32, lane: u32, index: u32) -> vec4f {
  let width = (K8 + 1u) / 2u;
  var sums = vec4f();
  for (var i = 0u; i < count; i++) {
    let sum = sum_squares((row + i) * width + lane, (row + i + 1u) * width);
    let all = sum.x + sum.y + sum.z + sum.w;
    sums = select(sums, vec4f(all), vec4u(i) == vec4u(0u, 1u, 2u, 3u));
  }
  return inverseSqrt(sum_lanes(sums, index) / HIDDEN + EPSILON);
}
