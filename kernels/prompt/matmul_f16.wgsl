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

// A thread's sums: of four rows, those of the first four outputs, and of the others.
struct Sums {
  near0: vec4f,
  near1: vec4f,
  near2: vec4f,
  near3: vec4f,
  far0: vec4f,
  far1: vec4f,
  far2: vec4f,
  far3: vec4f,
}

// The same of a tile.
struct TileSums {
  near0: vec4h,
  near1: vec4h,
  near2: vec4h,
  near3: vec4h,
  far0: vec4h,
  far1: vec4h,
  far2: vec4h,
  far3: vec4h,
}

fn add(s: TileSums, k: u32, across: u32, down: u32) -> TileSums {
  let near = tile[k][across];
  let far = tile[k][16u + across];
  let rows = tile[k][OUTPUTS / 4u + down];
  return TileSums(
    fma(vec4h(rows.x), near, s.near0),
    fma(vec4h(rows.y), near, s.near1),
    fma(vec4h(rows.z), near, s.near2),
    fma(vec4h(rows.w), near, s.near3),
    fma(vec4h(rows.x), far, s.far0),
    fma(vec4h(rows.y), far, s.far1),
    fma(vec4h(rows.z), far, s.far2),
    fma(vec4h(rows.w), far, s.far3),
  );
}

fn add_four(sums: TileSums, k: u32, across: u32, down: u32) -> TileSums {
  let two = add(add(sums, k, across, down), k + 1u, across, down);
  return add(add(two, k + 2u, across, down), k + 3u, across, down);
}

fn add_tile(s: Sums, t: TileSums) -> Sums {
  return Sums(
    s.near0 + vec4f(t.near0),
    s.near1 + vec4f(t.near1),
    s.near2 + vec4f(t.near2),
    s.near3 + vec4f(t.near3),
    s.far0 + vec4f(t.far0),
    s.far1 + vec4f(t.far1),
    s.far2 + vec4f(t.far2),
    s.far3 + vec4f(t.far3),
  );
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = workgroup.y * ROWS;
  let n0 = workgroup.x * OUTPUTS;
  let across = thread % 16u; // this thread's outputs: four from 4 · across, and four 64 further on
  let down = thread / 16u;   // this thread's rows: four from 4 · down
  var s = Sums();
  let quad = thread / 2u; // to be fetched
  let eight = thread % 2u;
  let scales = quad_scales(quad, row0, n0);
  var fetched = fetch_block(quad, row0, n0, eight);
  for (var k8 = 0u; k8 < K8; k8 += 2u) {
    workgroupBarrier();
    put(quad, eight * 8u, fetched, scales);
    workgroupBarrier();
    fetched = fetch_block(quad, row0, n0, k8 + 2u + eight);
    var t = TileSums();
    for (var k = 0u; k < DEPTH; k += 8u) {
      t = add_four(t, k, across, down);
      t = add_four(t, k + 4u, across, down);
    }
    s = add_tile(s, t);
  }
  let row = row0 + 4u * down;
  store_row(row, n0 + 4u * across, s.near0);
  store_row(row + 1u, n0 + 4u * across, s.near1);
  store_row(row + 2u, n0 + 4u * across, s.near2);
  store_row(row + 3u, n0 + 4u * across, s.near3);
  store_row(row, n0 + 64u + 4u * across, s.far0);
  store_row(row + 1u, n0 + 64u + 4u * across, s.far1);
  store_row(row + 2u, n0 + 64u + 4u * across, s.far2);
  store_row(row + 3u, n0 + 64u + 4u * across, s.far3);
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
