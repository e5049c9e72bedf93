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
