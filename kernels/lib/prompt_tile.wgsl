// How prompt/matmul.wgsl and prompt/matmul_f16.wgsl cut a product into tiles, and fetch them.
//
// A workgroup makes a tile of ROWS rows × 128 outputs; 16 values of k at a time pass through workgroup memory.
// What is fetched at once is a quad: four outputs' weights, or four rows' values, at eight values of k.

@group(0) @binding(1) var<storage, read> a: array<vec4f>; // [rows][2 · K8]

const OUTPUTS = 128u;
const DEPTH = 16u; // values of k a tile holds: two eights
const QUADS = (OUTPUTS + ROWS) / 4u; // of a tile: those of the outputs, then those of the rows

const THREADS = 128u; // of the workgroup, each with 8 outputs of some rows
// Which quads are a thread's: of outputs number `across` and `FAR` further on, of rows number `down` and `LOWER` further.
const FAR = OUTPUTS / 8u;
const FIRST_ROWS = OUTPUTS / 4u;
const LOWER = ROWS / 8u;

// Threads i and i ^ 1 have the same outputs, i and i ^ 2 the same rows. NVIDIA's GPUs hand out to such pairs what they share
// in half the time (from Volta on, its developers say), and workgroup memory is what these products wait for:
// bench/README.md has the count.
fn across_of(thread: u32) -> u32 {
  return thread / 2u % 8u + thread / 32u % 2u * 8u;
}

fn down_of(thread: u32) -> u32 {
  return thread % 2u + thread / 16u % 2u * 2u + thread / 64u * 4u;
}

// At each of four k, four outputs' weights or four rows' values together: those of the outputs, then of the rows.
// A Quad is what the stage multiplies: four values of f32 or f16.
struct Four {
  at: array<array<Quad, QUADS>, 4>,
  // Neighbouring threads write a quad's two eights, which lie two of these apart: 32 bytes more, and in other banks.
  apart: array<Quad, 32u / QUAD_BYTES>,
}

var<workgroup> tile: array<Four, DEPTH / 4u>;

// Four rows' sums of four outputs.
struct Square {
  a: vec4f,
  b: vec4f,
  c: vec4f,
  d: vec4f,
}

// Eight values of k of a quad: column k of the two matrices holds the quad's four values.
struct Block {
  lo: mat4x4f,
  hi: mat4x4f,
}

// An eight of a; zeros beyond its rows.
fn row_eight(row: u32, k8: u32) -> Eight {
  if (row >= span.rows) {
    return Eight();
  }
  let i = (row * K8 + k8) * 2u;
  return Eight(a[i], a[i + 1u]);
}

// An eight of the weights; zeros beyond the part.
fn output_eight(n: u32, k8: u32) -> Eight {
  if (n >= part.count) {
    return Eight();
  }
  return widen(n, k8);
}

fn block(a: Eight, b: Eight, c: Eight, d: Eight) -> Block {
  return Block(transpose(mat4x4f(a.lo, b.lo, c.lo, d.lo)), transpose(mat4x4f(a.hi, b.hi, c.hi, d.hi)));
}

// A quad of the tile that begins at (row0, n0); zeros past the last k.
fn fetch_block(quad: u32, row0: u32, n0: u32, k8: u32) -> Block {
  if (k8 >= K8 || quad >= QUADS) {
    return Block();
  }
  if (quad < OUTPUTS / 4u) {
    let n = n0 + 4u * quad;
    return block(output_eight(n, k8), output_eight(n + 1u, k8), output_eight(n + 2u, k8), output_eight(n + 3u, k8));
  }
  let row = row0 + 4u * quad - OUTPUTS;
  return block(row_eight(row, k8), row_eight(row + 1u, k8), row_eight(row + 2u, k8), row_eight(row + 3u, k8));
}

// Puts what was fetched into the tile; nothing where there is no such quad.
fn put(quad: u32, eight: u32, block: Block) {
  if (quad >= QUADS) {
    return;
  }
  tile[2u * eight].at[0][quad] = Quad(block.lo[0]);
  tile[2u * eight].at[1][quad] = Quad(block.lo[1]);
  tile[2u * eight].at[2][quad] = Quad(block.lo[2]);
  tile[2u * eight].at[3][quad] = Quad(block.lo[3]);
  tile[2u * eight + 1u].at[0][quad] = Quad(block.hi[0]);
  tile[2u * eight + 1u].at[1][quad] = Quad(block.hi[1]);
  tile[2u * eight + 1u].at[2][quad] = Quad(block.hi[2]);
  tile[2u * eight + 1u].at[3][quad] = Quad(block.hi[3]);
}

// Four outputs from n on, in range even where they are past the end.
fn outputs_from(n: u32) -> vec4u {
  return min(vec4u(n) + vec4u(0u, 1u, 2u, 3u), vec4u(part.count - 1u));
}

// A row's sums of four outputs from n on.
fn store_four(row: u32, n: u32, sums: vec4f) {
  store(row, n, sums.x);
  store(row, n + 1u, sums.y);
  store(row, n + 2u, sums.z);
  store(row, n + 3u, sums.w);
}

// Four rows' products with four outputs, added to a TileSquare: to the sums themselves, or to those of one tile, as the
// stage says.
fn add_square(s: TileSquare, rows: Quad, outputs: Quad) -> TileSquare {
  return TileSquare(
    fma(Quad(rows.x), outputs, s.a),
    fma(Quad(rows.y), outputs, s.b),
    fma(Quad(rows.z), outputs, s.c),
    fma(Quad(rows.w), outputs, s.d),
  );
}

// Four values of k are spelled out, because a loop's guard and index cost as much as a third of these (naga guards
// every loop).
fn add_four(s: TileSums, four: u32, across: u32, down: u32) -> TileSums {
  let two = add(add(s, four, 0u, across, down), four, 1u, across, down);
  return add(add(two, four, 2u, across, down), four, 3u, across, down);
}
