// The product of a weight matrix with a chunk of the prompt, in tiles.
// A workgroup makes a tile of 64 rows × 64 outputs; a thread keeps 4 × 4 sums in registers; 16 values of k
// at a time pass through workgroup memory. A row's sum runs over rising k, whatever the chunk's length.

@group(0) @binding(1) var<storage, read> a: array<vec4f>; // [rows][2 · K8]

const TILE = 64u;
const DEPTH = 16u; // values of k a tile holds: two eights

var<workgroup> a_tile: array<array<f32, TILE>, DEPTH>;
var<workgroup> w_tile: array<array<f32, TILE>, DEPTH>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = workgroup.y * TILE;
  let n0 = workgroup.x * TILE;
  let across = thread % 16u * 4u; // this thread's outputs
  let down = thread / 16u * 4u;   // this thread's rows
  // Loading: threads 0 to 127 an eight of a each, the others an eight of the weights.
  let line = thread % 128u / 2u;
  let eight = thread % 2u;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var k8 = 0u; k8 < K8; k8 += 2u) {
    var v = Eight();
    if (k8 + eight < K8) {
      if (thread < 128u) {
        if (row0 + line < span.rows) {
          let i = ((row0 + line) * K8 + k8 + eight) * 2u;
          v = Eight(a[i], a[i + 1u]);
        }
      } else if (n0 + line < part.count) {
        v = widen(n0 + line, k8 + eight);
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
      if (thread < 128u) {
        a_tile[eight * 8u + i][line] = v.lo[i];
        a_tile[eight * 8u + 4u + i][line] = v.hi[i];
      } else {
        w_tile[eight * 8u + i][line] = v.lo[i];
        w_tile[eight * 8u + 4u + i][line] = v.hi[i];
      }
    }
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
      let w = vec4f(w_tile[k][across], w_tile[k][across + 1u], w_tile[k][across + 2u], w_tile[k][across + 3u]);
      sum0 = fma(vec4f(a_tile[k][down]), w, sum0);
      sum1 = fma(vec4f(a_tile[k][down + 1u]), w, sum1);
      sum2 = fma(vec4f(a_tile[k][down + 2u]), w, sum2);
      sum3 = fma(vec4f(a_tile[k][down + 3u]), w, sum3);
    }
  }
  let n = min(n0 + across + vec4u(0u, 1u, 2u, 3u), vec4u(part.count - 1u));
  let scales = vec4f(row_scale(n.x), row_scale(n.y), row_scale(n.z), row_scale(n.w));
  store_four(row0 + down, n0 + across, scales * sum0);
  store_four(row0 + down + 1u, n0 + across, scales * sum1);
  store_four(row0 + down + 2u, n0 + across, scales * sum2);
  store_four(row0 + down + 3u, n0 + across, scales * sum3);
}

fn store_four(row: u32, n: u32, sums: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    store(row, n + i, sums[i]);
  }
}
