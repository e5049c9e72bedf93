// What matmul.wgsl does, for subgroups of 8 lanes that are a CPU's vector registers: there workgroup memory,
// barriers and loads of the same address by all lanes cost most. A lane makes two outputs for 8 rows; of eight
// values of a row each lane loads one, and all lanes get it by broadcast (llvmpipe, 128 × 1024 × 3584: with one
// output 2/3 of the speed, without broadcasts 2/9). A row's sum runs over rising k, as there.

@group(0) @binding(1) var<storage, read> a: array<f32>; // [rows][8 · K8]

const ROWS = 8u;
const THREADS = 16u;
const OUTPUTS = 2u * THREADS;

// The sums of a lane's two outputs with one row.
struct Two {
  a: f32,
  b: f32,
}

fn add(two: Two, a: f32, b: f32, value: f32) -> Two {
  return Two(fma(a, value, two.a), fma(b, value, two.b));
}

// The sums, and the weights times the values of the eight lanes.
fn dot_lanes(a: Eight, b: Eight, value: f32, sums: Two) -> Two {
  var s = add(sums, a.lo.x, b.lo.x, subgroupBroadcast(value, 0u));
  s = add(s, a.lo.y, b.lo.y, subgroupBroadcast(value, 1u));
  s = add(s, a.lo.z, b.lo.z, subgroupBroadcast(value, 2u));
  s = add(s, a.lo.w, b.lo.w, subgroupBroadcast(value, 3u));
  s = add(s, a.hi.x, b.hi.x, subgroupBroadcast(value, 4u));
  s = add(s, a.hi.y, b.hi.y, subgroupBroadcast(value, 5u));
  s = add(s, a.hi.z, b.hi.z, subgroupBroadcast(value, 6u));
  return add(s, a.hi.w, b.hi.w, subgroupBroadcast(value, 7u));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row0 = workgroup.y * ROWS;
  let n = workgroup.x * OUTPUTS + thread;
  let weight_a = min(n, part.count - 1u);
  let weight_b = min(n + THREADS, part.count - 1u);
  let line = K8 * 8u; // rows past the last are computed and thrown away
  var s0 = Two();
  var s1 = Two();
  var s2 = Two();
  var s3 = Two();
  var s4 = Two();
  var s5 = Two();
  var s6 = Two();
  var s7 = Two();
  for (var k8 = 0u; k8 < K8; k8++) {
    let wa = widen(weight_a, k8);
    let wb = widen(weight_b, k8);
    let i = row0 * line + k8 * 8u + lane;
    s0 = dot_lanes(wa, wb, a[i], s0);
    s1 = dot_lanes(wa, wb, a[i + line], s1);
    s2 = dot_lanes(wa, wb, a[i + 2u * line], s2);
    s3 = dot_lanes(wa, wb, a[i + 3u * line], s3);
    s4 = dot_lanes(wa, wb, a[i + 4u * line], s4);
    s5 = dot_lanes(wa, wb, a[i + 5u * line], s5);
    s6 = dot_lanes(wa, wb, a[i + 6u * line], s6);
    s7 = dot_lanes(wa, wb, a[i + 7u * line], s7);
  }
  store_two(row0, n, s0);
  store_two(row0 + 1u, n, s1);
  store_two(row0 + 2u, n, s2);
  store_two(row0 + 3u, n, s3);
  store_two(row0 + 4u, n, s4);
  store_two(row0 + 5u, n, s5);
  store_two(row0 + 6u, n, s6);
  store_two(row0 + 7u, n, s7);
}

fn store_two(row: u32, n: u32, sums: Two) {
  store(row, n, row_scale(min(n, part.count - 1u)) * sums.a);
  store(row, n + THREADS, row_scale(min(n + THREADS, part.count - 1u)) * sums.b);
}
