// What matmul.wgsl does, where subgroups are a CPU's vector registers (vector_dot.wgsl): there workgroup memory and
// barriers cost too. A lane makes four outputs for 8 rows. A row's sum runs over rising k, as there.

@group(0) @binding(1) var<storage, read> a: array<f32>; // [rows][8 · K8]

const ROWS = 8u;
const THREADS = 8u; // a vector, or two

// The sums of a lane's four outputs with one row, and an eight more of them.
fn add(sums: vec4f, row: u32, k8: u32, w: Weights, lane: u32) -> vec4f {
  let at = (row * K8 + k8) * 8u + lane;
  let lower = a[at];
  var upper = lower;
  if (VECTOR == 4u) {
    upper = a[at + 4u];
  }
  return dot_lanes(w, lower, upper, sums);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row = workgroup.y * ROWS; // rows past the last are computed and thrown away
  let n = (workgroup.x * THREADS + thread) * 4u;
  let outputs = min(n + vec4u(0u, 1u, 2u, 3u), vec4u(part.count - 1u));
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  for (var k8 = 0u; k8 < K8; k8++) {
    let w = Weights(widen(outputs.x, k8), widen(outputs.y, k8), widen(outputs.z, k8), widen(outputs.w, k8));
    s0 = add(s0, row, k8, w, lane);
    s1 = add(s1, row + 1u, k8, w, lane);
    s2 = add(s2, row + 2u, k8, w, lane);
    s3 = add(s3, row + 3u, k8, w, lane);
    s4 = add(s4, row + 4u, k8, w, lane);
    s5 = add(s5, row + 5u, k8, w, lane);
    s6 = add(s6, row + 6u, k8, w, lane);
    s7 = add(s7, row + 7u, k8, w, lane);
  }
  let scales = vec4f(row_scale(outputs.x), row_scale(outputs.y), row_scale(outputs.z), row_scale(outputs.w));
  store_four(row, n, scales * s0);
  store_four(row + 1u, n, scales * s1);
  store_four(row + 2u, n, scales * s2);
  store_four(row + 3u, n, scales * s3);
  store_four(row + 4u, n, scales * s4);
  store_four(row + 5u, n, scales * s5);
  store_four(row + 6u, n, scales * s6);
  store_four(row + 7u, n, scales * s7);
}

fn store_four(row: u32, n: u32, sums: vec4f) {
  store(row, n, sums.x);
  store(row, n + 1u, sums.y);
  store(row, n + 2u, sums.z);
  store(row, n + 3u, sums.w);
}
