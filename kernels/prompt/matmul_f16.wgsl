// What matmul.wgsl does with multiply-adds of f16, which many GPUs do at twice the rate of f32. Rows and weights
// come times powers of two (scales.wgsl). Products are summed in f16 over sixteen values of k, then in f32.
//
// The error of a product of normal values is 0.07% of its size; rounding the rows to bf16, as others do, makes 0.17%
// (llvmpipe, 256 and 4096 inputs).

alias Quad = vec4h;
const QUAD_BYTES = 8u;

@group(0) @binding(5) var<storage, read> row_scales: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read> output_scales: array<f32>; // [part.count]

// The scales of a quad of the tile that begins at (row0, n0); past the last row or output anything.
fn quad_scales(quad: u32, row0: u32, n0: u32) -> vec4f {
  if (quad < OUTPUTS / 4u) {
    let o = outputs_from(n0 + 4u * quad);
    return vec4f(output_scales[o.x], output_scales[o.y], output_scales[o.z], output_scales[o.w]);
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

fn scaled(block: Block, scales: vec4f) -> Block {
  let lo = mat4x4f(block.lo[0] * scales, block.lo[1] * scales, block.lo[2] * scales, block.lo[3] * scales);
  let hi = mat4x4f(block.hi[0] * scales, block.hi[1] * scales, block.hi[2] * scales, block.hi[3] * scales);
  return Block(lo, hi);
}

// The sums of one tile.
struct TileSquare {
  a: vec4h,
  b: vec4h,
  c: vec4h,
  d: vec4h,
}

struct TileSums {
  upper_near: TileSquare,
  upper_far: TileSquare,
  lower_near: TileSquare,
  lower_far: TileSquare,
}

fn with_tile(s: Square, t: TileSquare) -> Square {
  return Square(s.a + vec4f(t.a), s.b + vec4f(t.b), s.c + vec4f(t.c), s.d + vec4f(t.d));
}

fn add_tile(s: Sums, t: TileSums) -> Sums {
  return Sums(
    with_tile(s.upper_near, t.upper_near),
    with_tile(s.upper_far, t.upper_far),
    with_tile(s.lower_near, t.lower_near),
    with_tile(s.lower_far, t.lower_far),
  );
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = workgroup.x * ROWS;
  let n0 = workgroup.y * OUTPUTS;
  let across = across_of(thread);
  let down = down_of(thread);
  var s = Sums();
  let quad = thread / 2u; // to be fetched
  let eight = thread % 2u;
  let scales = quad_scales(quad, row0, n0);
  var fetched = fetch_block(quad, row0, n0, eight);
  for (var k8 = 0u; k8 < K8; k8 += 2u) {
    workgroupBarrier();
    put(quad, eight, scaled(fetched, scales));
    workgroupBarrier();
    fetched = fetch_block(quad, row0, n0, k8 + 2u + eight);
    var t = TileSums();
    for (var four = 0u; four < DEPTH / 4u; four++) {
      t = add_four(t, four, across, down);
    }
    s = add_tile(s, t);
  }
  store_sums(row0 + 4u * down, n0 + 4u * across, s);
}

// 1 / scale for a power of two.
fn inverse(scale: f32) -> f32 {
  return bitcast<f32>(0x7f000000u - bitcast<u32>(scale));
}

// Those of the rows from `row` on, of the outputs from n on.
fn store_square(row: u32, n: u32, sums: Square) {
  let o = outputs_from(n);
  let inverses = vec4f(
    inverse(output_scales[o.x]),
    inverse(output_scales[o.y]),
    inverse(output_scales[o.z]),
    inverse(output_scales[o.w]),
  );
  let scales = vec4f(row_scale(o.x), row_scale(o.y), row_scale(o.z), row_scale(o.w));
  store_four(row, n, sums.a * row_inverse(row) * inverses * scales);
  store_four(row + 1u, n, sums.b * row_inverse(row + 1u) * inverses * scales);
  store_four(row + 2u, n, sums.c * row_inverse(row + 2u) * inverses * scales);
  store_four(row + 3u, n, sums.d * row_inverse(row + 3u) * inverses * scales);
}

fn row_inverse(row: u32) -> f32 {
  return inverse(row_scales[min(row, span.rows - 1u)]);
}
