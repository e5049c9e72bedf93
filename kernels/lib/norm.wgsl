// RMSNorm (Zhang and Sennrich 2019) around the product that follows it: x comes with the gain in it (residual.wgsl), and
// the root mean square divides the sums, since it is the same for the whole row.
//
// norm_ahead.wgsl or norm_vector.wgsl supply
//   sum_squares(first, end) -> vec4f,  the sum of a lane's squares: every LANES-th, in their order.

override HIDDEN: f32; // values in a row, without padding
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(3) var<storage, read> squares: array<vec4f>; // [MAX_ROWS][(K8 + 1) / 2]: Σ x² of four quads

fn row_factor(row: u32, lane: u32, index: u32) -> f32 {
  let width = (K8 + 1u) / 2u;
  let sum = sum_lanes(sum_squares(row * width + lane, (row + 1u) * width), index);
  return inverseSqrt((sum.x + sum.y + sum.z + sum.w) / HIDDEN + EPSILON);
}
