// What matmul.wgsl does with multiply-adds of f16, which many GPUs do at twice the rate of f32. Rows and weights
// come times powers of two (scales.wgsl). Products are summed in f16 over sixteen values of k, then in f32.
//
// The error of a product of normal values is 0.07% of its size; rounding the rows to bf16, as others do, makes 0.17%
// (llvmpipe, 256 and 4096 inputs).

@group(0) @binding(5) var<storage, read> row_scales: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read> output_scales: array<f32>; // [part.count]

// At each k, four outputs' weights or four rows' values together: those of the outputs, then of the rows.
var<workgroup> tile: array<array<vec4h, QUADS>, DEPTH>;

// The scales of a quad of the tile that begins at (row0, n0); past the last row or output anything.
fn quad_scales(quad: u32, row0: u32, n0: u32) -> vec4f {
  if (quad < OUTPUTS / 4u) {
    let last = part.count - 1u;
    let n = n0 + 4u * quad;
    return vec4f(
      output_scales[min(n, last)],
      output_scales[min(n + 1u, last)],
      output_scales[min(n + 2u, last)],
      output_scales[min(n + 3u, last)],
    );
  }
  let last = span.rows - 1u;
  let row = row0 + 4u * quad - OUTPUTS;
  return vec4f(
    row_scales[min(row, last)],
    row_scales[min(row + 1u, last)],
    row_scales[min(row + 2u, last)],
    row_scales[min(row + 3u, last)],
  );
}

fn put(quad: u32, k: u32, block: Block, scales: vec4f) {
  if (quad >= QUADS) {
    return;
  }
  tile[k][quad] = vec4h(block.lo[0] * scales);
  tile[k + 1u][quad] = vec4h(block.lo[1] * scales);
  tile[k + 2u][quad] = vec4h(block.lo[2] * scales);
  tile[k + 3u][quad] = vec4h(block.lo[3] * scales);
  tile[k + 4u][quad] = vec4h(block.hi[0] * scales);
  tile[k + 5u][quad] = vec4h(block.hi[1] * scales);
  tile[k + 6u][quad] = vec4h(block.hi[2] * scales);
  tile[k + 7u][quad] = vec4h(block.hi[3] * scales);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = workgroup.y * ROWS;
  let n0 = workgroup.x * OUTPUTS;
  let across = thread % 16u; // this thread's outputs: four from 4 · across, and four 64 further on
  let down = thread / 16u;   // this thread's rows: four from 4 · down
  // Of the rows: the sums of the first four outputs, and of the others.
  var near0 = vec4f();
  var near1 = vec4f();
  var near2 = vec4f();
  var near3 = vec4f();
  var far0 = vec4f();
  var far1 = vec4f();
  var far2 = vec4f();
  var far3 = vec4f();
  let quad = thread / 2u; // to be fetched
  let eight = thread % 2u;
  let scales = quad_scales(quad, row0, n0);
  var fetched = fetch(quad, row0, n0, eight);
  for (var k8 = 0u; k8 < K8; k8 += 2u) {
    workgroupBarrier();
    put(quad, eight * 8u, fetched, scales);
    workgroupBarrier();
    fetched = fetch(quad, row0, n0, k8 + 2u + eight);
    // The same of this tile alone.
    var near0h = vec4h();
    var near1h = vec4h();
    var near2h = vec4h();
    var near3h = vec4h();
    var far0h = vec4h();
    var far1h = vec4h();
    var far2h = vec4h();
    var far3h = vec4h();
    for (var k = 0u; k < DEPTH; k++) {
      let near = tile[k][across];
      let far = tile[k][16u + across];
      let rows = tile[k][OUTPUTS / 4u + down];
      near0h = fma(vec4h(rows.x), near, near0h);
      near1h = fma(vec4h(rows.y), near, near1h);
      near2h = fma(vec4h(rows.z), near, near2h);
      near3h = fma(vec4h(rows.w), near, near3h);
      far0h = fma(vec4h(rows.x), far, far0h);
      far1h = fma(vec4h(rows.y), far, far1h);
      far2h = fma(vec4h(rows.z), far, far2h);
      far3h = fma(vec4h(rows.w), far, far3h);
    }
    near0 += vec4f(near0h);
    near1 += vec4f(near1h);
    near2 += vec4f(near2h);
    near3 += vec4f(near3h);
    far0 += vec4f(far0h);
    far1 += vec4f(far1h);
    far2 += vec4f(far2h);
    far3 += vec4f(far3h);
  }
  let row = row0 + 4u * down;
  store_row(row, n0 + 4u * across, near0);
  store_row(row + 1u, n0 + 4u * across, near1);
  store_row(row + 2u, n0 + 4u * across, near2);
  store_row(row + 3u, n0 + 4u * across, near3);
  store_row(row, n0 + 64u + 4u * across, far0);
  store_row(row + 1u, n0 + 64u + 4u * across, far1);
  store_row(row + 2u, n0 + 64u + 4u * across, far2);
  store_row(row + 3u, n0 + 64u + 4u * across, far3);
}

// 1 / scale for a power of two.
fn inverse(scale: f32) -> f32 {
  return bitcast<f32>(0x7f000000u - bitcast<u32>(scale));
}

// A row's sums of four outputs from n on.
fn store_row(row: u32, n: u32, sums: vec4f) {
  let row_part = sums * inverse(row_scales[min(row, span.rows - 1u)]);
  for (var i = 0u; i < 4u; i++) {
    let output = min(n + i, part.count - 1u);
    store(row, n + i, row_part[i] * inverse(output_scales[output]) * row_scale(output));
  }
}
