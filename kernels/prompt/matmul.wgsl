// The product of a weight matrix with a chunk of the prompt, tile by tile (lib/prompt_tile.wgsl). A thread
// keeps 4 × 8 sums in registers; while a tile is multiplied, the next one is fetched. A row's sum runs over
// rising k, whatever the chunk's length.
//
// Workgroup memory is what such a product waits for: three loads of 16 bytes serve 32 multiply-adds.

// At each k, four outputs' weights or four rows' values together: those of the outputs, then of the rows.
var<workgroup> tile: array<array<vec4f, QUADS>, DEPTH>;

fn put(quad: u32, k: u32, block: Block) {
  if (quad >= QUADS) {
    return;
  }
  tile[k][quad] = block.lo[0];
  tile[k + 1u][quad] = block.lo[1];
  tile[k + 2u][quad] = block.lo[2];
  tile[k + 3u][quad] = block.lo[3];
  tile[k + 4u][quad] = block.hi[0];
  tile[k + 5u][quad] = block.hi[1];
  tile[k + 6u][quad] = block.hi[2];
  tile[k + 7u][quad] = block.hi[3];
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

fn add(s: Sums, k: u32, across: u32, down: u32) -> Sums {
  let near = tile[k][across];
  let far = tile[k][16u + across];
  let rows = tile[k][OUTPUTS / 4u + down];
  return Sums(
    fma(vec4f(rows.x), near, s.near0),
    fma(vec4f(rows.y), near, s.near1),
    fma(vec4f(rows.z), near, s.near2),
    fma(vec4f(rows.w), near, s.near3),
    fma(vec4f(rows.x), far, s.far0),
    fma(vec4f(rows.y), far, s.far1),
    fma(vec4f(rows.z), far, s.far2),
    fma(vec4f(rows.w), far, s.far3),
  );
}

fn add_four(sums: Sums, k: u32, across: u32, down: u32) -> Sums {
  let two = add(add(sums, k, across, down), k + 1u, across, down);
  return add(add(two, k + 2u, across, down), k + 3u, across, down);
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
  var fetched = fetch_block(quad, row0, n0, eight);
  for (var k8 = 0u; k8 < K8; k8 += 2u) {
    workgroupBarrier();
    put(quad, eight * 8u, fetched);
    workgroupBarrier();
    fetched = fetch_block(quad, row0, n0, k8 + 2u + eight);
    for (var k = 0u; k < DEPTH; k += 8u) {
      s = add_four(s, k, across, down);
      s = add_four(s, k + 4u, across, down);
    }
  }
  let row = row0 + 4u * down;
  store_four(row, n0 + 4u * across, s.near0, s.near1, s.near2, s.near3);
  store_four(row, n0 + 64u + 4u * across, s.far0, s.far1, s.far2, s.far3);
}

// The sums of four outputs from n on, of four rows from `row` on.
fn store_four(row: u32, n: u32, a: vec4f, b: vec4f, c: vec4f, d: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    let scale = row_scale(min(n + i, part.count - 1u));
    store(row, n + i, scale * a[i]);
    store(row + 1u, n + i, scale * b[i]);
    store(row + 2u, n + i, scale * c[i]);
    store(row + 3u, n + i, scale * d[i]);
  }
}
