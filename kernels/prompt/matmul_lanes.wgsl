// What matmul.wgsl does, for subgroups of 8 lanes that are a CPU's vector registers: there workgroup memory,
// barriers and loads of the same address by all lanes cost most. A lane makes one output for 8 rows; of eight
// values of a row each lane loads one, and all lanes get it by broadcast (llvmpipe, 300 × 256 × 1024: 9
// thousand million multiply-adds a second instead of 3). A row's sum runs over rising k, as there.

@group(0) @binding(1) var<storage, read> a: array<f32>; // [rows][8 · K8]

const ROWS = 8u;
const OUTPUTS = 16u;

// sum + w · the values of the eight lanes
fn dot_lanes(w: Eight, value: f32, sum: f32) -> f32 {
  var s = fma(w.lo.x, subgroupBroadcast(value, 0u), sum);
  s = fma(w.lo.y, subgroupBroadcast(value, 1u), s);
  s = fma(w.lo.z, subgroupBroadcast(value, 2u), s);
  s = fma(w.lo.w, subgroupBroadcast(value, 3u), s);
  s = fma(w.hi.x, subgroupBroadcast(value, 4u), s);
  s = fma(w.hi.y, subgroupBroadcast(value, 5u), s);
  s = fma(w.hi.z, subgroupBroadcast(value, 6u), s);
  return fma(w.hi.w, subgroupBroadcast(value, 7u), s);
}

@compute @workgroup_size(OUTPUTS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row0 = workgroup.y * ROWS;
  let n = workgroup.x * OUTPUTS + thread;
  let weight_row = min(n, part.count - 1u);
  let line = K8 * 8u; // rows past the last are computed and thrown away
  var s0 = 0.0;
  var s1 = 0.0;
  var s2 = 0.0;
  var s3 = 0.0;
  var s4 = 0.0;
  var s5 = 0.0;
  var s6 = 0.0;
  var s7 = 0.0;
  for (var k8 = 0u; k8 < K8; k8++) {
    let w = widen(weight_row, k8);
    let i = row0 * line + k8 * 8u + lane;
    s0 = dot_lanes(w, a[i], s0);
    s1 = dot_lanes(w, a[i + line], s1);
    s2 = dot_lanes(w, a[i + 2u * line], s2);
    s3 = dot_lanes(w, a[i + 3u * line], s3);
    s4 = dot_lanes(w, a[i + 4u * line], s4);
    s5 = dot_lanes(w, a[i + 5u * line], s5);
    s6 = dot_lanes(w, a[i + 6u * line], s6);
    s7 = dot_lanes(w, a[i + 7u * line], s7);
  }
  let scale = row_scale(weight_row);
  store(row0, n, scale * s0);
  store(row0 + 1u, n, scale * s1);
  store(row0 + 2u, n, scale * s2);
  store(row0 + 3u, n, scale * s3);
  store(row0 + 4u, n, scale * s4);
  store(row0 + 5u, n, scale * s5);
  store(row0 + 6u, n, scale * s6);
  store(row0 + 7u, n, scale * s7);
}
