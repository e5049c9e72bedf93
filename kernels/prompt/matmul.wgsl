// The product of a weight matrix with a chunk of the prompt, tile by tile (lib/prompt_tile.wgsl). A thread
// keeps its sums in registers (lib/prompt_sums_eight.wgsl, prompt_sums_four.wgsl); while a tile is multiplied, the
// next one is fetched. A row's sum runs over rising k, whatever the chunk's length and the tile.

alias Quad = vec4f;
const QUAD_BYTES = 16u;
alias TileSquare = Square;
alias TileSums = Sums;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = workgroup.x * ROWS;
  let n0 = workgroup.y * OUTPUTS;
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
