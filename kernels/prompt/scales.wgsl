// For matmul_f16.wgsl: the power of two that brings a row's largest value to at least 16 and below 32. Then it
// is in the range of f16, and so is a sum of sixteen products of two such values (below 16 · 32 · 32), while what is
// a 2^18th of the largest is still a normal number. A power of two changes no mantissa.
//
// The rows are those of a weight matrix, or, as a matrix of f32, those of the chunk. A workgroup has a row.

override K8: u32; // values of a row / 8, rounded up; padding is zero

struct Span {
  rows: u32,
}

@group(0) @binding(1) var<storage, read_write> scales: array<f32>; // [rows]
@group(0) @binding(2) var<uniform> span: Span;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroup.y * workgroups.x + workgroup.x;
  if (row >= span.rows) {
    return;
  }
  let exponent = row_peak(row, thread) >> 23u;
  if (thread == 0u) {
    // At 253 the scale's inverse is a normal number still.
    scales[row] = bitcast<f32>(min(258u - exponent, 253u) << 23u);
  }
}
