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

const THREADS = 64u;
var<workgroup> peaks: array<f32, THREADS>;

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
  var peak = vec4f();
  for (var k8 = thread; k8 < K8; k8 += THREADS) {
    let v = widen(row, k8);
    peak = max(peak, max(abs(v.lo), abs(v.hi)));
  }
  peaks[thread] = max(max(peak.x, peak.y), max(peak.z, peak.w));
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      peaks[thread] = max(peaks[thread], peaks[thread + stride]);
    }
  }
  if (thread == 0u) {
    let exponent = bitcast<u32>(peaks[0]) >> 23u;
    // At 253 the scale's inverse is a normal number still.
    scales[row] = bitcast<f32>(min(258u - exponent, 253u) << 23u);
  }
}
