// norm · qkv · rope: the queries, keys and values of a pass's rows, rotated by their positions.
//
// The weight is [blocks][2][half][K]: a head's first half of dimensions, then its second, for every
// query, key and value head in turn, which is simply q, k and v below each other. A pair is dimensions
// (i, i + half) of one head, which rotate together (Su et al. 2021, in the arrangement of GPT-NeoX and
// Hugging Face). A pair is stored as one, so the cache's order of dimensions is (i, i + half), i = 0, 1, …

override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;     // head_dim / 2

struct Part {
  first: u32, // the part's first head
  count: u32, // pairs in this part
}

@group(0) @binding(4) var<storage, read> rope: array<vec2f>; // [position][HALF]: cos, sin
@group(0) @binding(5) var<storage, read_write> q: array<vec2f>; // [MAX_ROWS][HEADS][HALF]
@group(0) @binding(6) var<storage, read_write> cache: array<Pair>; // [CAPACITY + 2 · MAX_ROWS][k, v][KV_HEADS][HALF]
@group(0) @binding(7) var<uniform> part: Part;

fn weight_rows(quad: u32) -> vec4u {
  let pair = min(vec2u(2u * quad, 2u * quad + 1u), vec2u(part.count - 1u));
  let first = pair / HALF * 2u * HALF + pair % HALF;
  return vec4u(first.x, first.x + HALF, first.y, first.y + HALF);
}

fn finish(row: u32, quad: u32, sums: vec4f, scales: vec4f) {
  let y = sums * scales;
  store(row, 2u * quad, y.xy);
  store(row, 2u * quad + 1u, y.zw);
}

fn store(row: u32, pair: u32, y: vec2f) {
  if (pair >= part.count) {
    return;
  }
  let head = part.first + pair / HALF;
  let i = pair % HALF;
  let position = rows.base + rows.depth[row];
  let rotated = rotate(y, rope[position * HALF + i]);
  if (head < HEADS) {
    q[(row * HEADS + head) * HALF + i] = rotated * growth(position);
  } else {
    let kept = select(y, rotated, head < HEADS + KV_HEADS);
    cache[(fresh_slot(rows.half, row) * 2u * KV_HEADS + head - HEADS) * HALF + i] = pack_pair(kept);
  }
}

// Keeps the keys and values of the rows that the pass before accepted. It rides along here because this
// is the first stage of a layer that touches its cache, and a dispatch of its own would cost as much
// idle time as a small product.
fn commit(thread: u32, threads: u32) {
  let pairs = 2u * KV_HEADS * HALF;
  for (var i = thread; i < rows.commit_count * pairs; i += threads) {
    let slot = (rows.commit_base + i / pairs) % CAPACITY;
    let row = fresh_slot(1u - rows.half, rows.commit_row[i / pairs]);
    cache[slot * pairs + i % pairs] = cache[row * pairs + i % pairs];
  }
}

@compute @workgroup_size(LANES * GROUPS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  if (part.first == 0u) {
    commit(workgroup.x * LANES * GROUPS + index, workgroups.x * LANES * GROUPS);
  }
  multiply(workgroup.x, index);
}
