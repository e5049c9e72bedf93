// The product of a weight matrix with a chunk of the prompt, tile by tile (lib/prompt_tile.wgsl). A thread
// keeps its sums in registers (lib/prompt_sums_eight.wgsl, prompt_sums_four.wgsl); while a tile is multiplied, the
// next one is fetched. A row's sum runs over rising k, whatever the chunk's length and the tile.
//
// Four values of k are spelled out, because a loop's guard and index cost as much as a third of these (naga guards
// every loop).

// At each of four k, four outputs' weights or four rows' values together: those of the outputs, then of the rows.
struct Four {
  at: array<array<vec4f, QUADS>, 4>,
  // Neighbouring threads write a quad's two eights, which lie two of these apart: 32 bytes more, and in other banks.
  apart: array<vec4f, 2>,
}

var<workgroup> tile: array<Four, DEPTH / 4u>;

fn put(quad: u32, eight: u32, block: Block) {
  if (quad >= QUADS) {
    return;
  }
  tile[2u * eight].at[0][quad] = block.lo[0];
  tile[2u * eight].at[1][quad] = block.lo[1];
  tile[2u * eight].at[2][quad] = block.lo[2];
  tile[2u * eight].at[3][quad] = block.lo[3];
  tile[2u * eight + 1u].at[0][quad] = block.hi[0];
  tile[2u * eight + 1u].at[1][quad] = block.hi[1];
  tile[2u * eight + 1u].at[2][quad] = block.hi[2];
  tile[2u * eight + 1u].at[3][quad] = block.hi[3];
}

fn add_square(s: Square, rows: vec4f, outputs: vec4f) -> Square {
  return Square(
    fma(vec4f(rows.x), outputs, s.a),
    fma(vec4f(rows.y), outputs, s.b),
    fma(vec4f(rows.z), outputs, s.c),
    fma(vec4f(rows.w), outputs, s.d),
  );
}

fn add_four(s: Sums, four: u32, across: u32, down: u32) -> Sums {
  let two = add(add(s, four, 0u, across, down), four, 1u, across, down);
  return add(add(two, four, 2u, across, down), four, 3u, across, down);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = workgroup.y * ROWS;
  let n0 = workgroup.x * OUTPUTS;
  let across = across_of(thread);
  let down = down_of(thread);
  var s = Sums();
  let quad = thread / 2u; // to be fetched
  let eight = thread % 2u;
  var fetched = fetch_block(quad, row0, n0, eight);
  for (var k8 = 0u; k8 < K8; k8 += 2u) {
    workgroupBarrier();
    put(quad, eight, fetched);
    workgroupBarrier();
    fetched = fetch_block(quad, row0, n0, k8 + 2u + eight);
    for (var four = 0u; four < DEPTH / 4u; four++) {
      s = add_four(s, four, across, down);
    }
  }
  store_sums(row0 + 4u * down, n0 + 4u * across, s);
}

// Those of the rows from `row` on, of the outputs from n on.
fn store_square(row: u32, n: u32, sums: Square) {
  let outputs = outputs_from(n);
  let scales = vec4f(row_scale(outputs.x), row_scale(outputs.y), row_scale(outputs.z), row_scale(outputs.w));
  store_four(row, n, scales * sums.a);
  store_four(row + 1u, n, scales * sums.b);
  store_four(row + 2u, n, scales * sums.c);
  store_four(row + 3u, n, scales * sums.d);
}
