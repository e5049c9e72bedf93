// One chunk of attention: what up to eight queries see of CHUNK neighbouring key positions. The queries of a key
// head are those of all rows, a row's heads side by side; four of them are a quad, and sit side by side in a
// vec4. A workgroup has QUADS quads, so that keys and values are read once for all of their queries.
//
// The past is cut at absolute multiples of CHUNK, and what a query adds up, and in which order, only its position
// decides: its bits do not depend on the other queries.
//
// A chunk's scores are in attention_scores.wgsl, the sums of its values in attention_values.wgsl. A stage supplies the
// bindings of q and cache, and
//   position_of(row) -> u32,  where a row stands;
//   put(quad, queries, pair, values),  which takes a pair of dimensions' sums over a chunk;
//   HAS_FRESH: bool,  whether there are positions that are not in the ring yet, and if so
//   fresh_from() -> u32,  the first of them, and
//   fresh_slot_of(query, position) -> u32,  where it is to one of the queries.

const CHUNK = 128u; // positions of a chunk

override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;   // head_dim / 2
override HALF8: u32;  // HALF, rounded up to a multiple of eight
override WINDOW: u32; // config: sliding_window; a query at p sees keys from p - WINDOW + 1 on
override SCALE: f32;  // 1 / √head_dim
override THREADS: u32; // of a workgroup: a power of two, at least MAX_ROWS and no more than half a chunk
override QUADS: u32;  // of a workgroup: 1 or 2
override POOL: u32;   // QUADS · (2 · HALF8 + CHUNK)

// For each quad: its queries' dimensions i, scaled [HALF8]; their dimensions i + HALF [HALF8]; and, chunk by chunk,
// e^(score - peak) [CHUNK].
var<workgroup> pool: array<vec4f, POOL>;
// Of either quad, what the threads find and put together.
var<workgroup> found: array<array<Values, 2>, THREADS>;

// Four queries. Those past the last repeat it, and are thrown away.
struct Quad {
  row: vec4u,
  head: vec4u,
  first: vec4u, // the first position that each sees
  end: vec4u,   // the position after the last
}

var<private> quad0: Quad;
var<private> quad1: Quad;
var<private> kv_head: u32;
var<private> lowest: u32;  // the first position that any of the queries sees
var<private> highest: u32; // the position after the last

// Whether so many quads are two, of which no code is made where there is never more than one.
fn has_both(quads: u32) -> bool {
  return QUADS == 2u && quads == 2u;
}

fn queries_at(quad: u32) -> u32 {
  return quad * (2u * HALF8 + CHUNK);
}

fn weights_at(quad: u32) -> u32 {
  return queries_at(quad) + 2u * HALF8;
}

fn window_start(position: u32) -> u32 {
  return select(0u, position + 1u - WINDOW, position >= WINDOW);
}

fn least(v: vec4u) -> u32 {
  return min(min(v.x, v.y), min(v.z, v.w));
}

fn most(v: vec4u) -> u32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}

// The quad whose first query is number `first` of `count`.
fn load_quad(quad: u32, first: u32, count: u32, thread: u32) -> Quad {
  let group = HEADS / KV_HEADS;
  let query = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(count - 1u));
  let row = query / group;
  let head = kv_head * group + query % group;
  let position = vec4u(position_of(row.x), position_of(row.y), position_of(row.z), position_of(row.w));
  let start = vec4u(
    window_start(position.x),
    window_start(position.y),
    window_start(position.z),
    window_start(position.w),
  );
  let h = (row * HEADS + head) * HALF;
  let at = queries_at(quad);
  for (var i = thread; i < HALF8; i += THREADS) {
    var a = vec4f();
    var b = vec4f();
    if (i < HALF) {
      let q0 = q[h.x + i];
      let q1 = q[h.y + i];
      let q2 = q[h.z + i];
      let q3 = q[h.w + i];
      a = vec4f(q0.x, q1.x, q2.x, q3.x) * SCALE;
      b = vec4f(q0.y, q1.y, q2.y, q3.y) * SCALE;
    }
    pool[at + i] = a;
    pool[at + HALF8 + i] = b;
  }
  return Quad(row, head, start, position + vec4u(1u));
}

// Loads the queries from number `first` of `count` on, in so many quads.
fn load_queries(first: u32, count: u32, quads: u32, thread: u32) {
  workgroupBarrier(); // the queries before have been done with
  quad0 = load_quad(0u, first, count, thread);
  lowest = least(quad0.first);
  highest = most(quad0.end);
  if (has_both(quads)) {
    quad1 = load_quad(1u, first + 4u, count, thread);
    lowest = min(lowest, least(quad1.first));
    highest = max(highest, most(quad1.end));
  }
  workgroupBarrier();
}

// Keys and values of committed positions stand in a ring. Of those from `ring_first` on, which are at `ring_slot`, no
// more are looked at than it holds.
var<private> ring_first: u32;
var<private> ring_slot: u32;

fn ring_slot_of(position: u32) -> u32 {
  let slot = ring_slot + position - ring_first;
  return select(slot, slot - CAPACITY, slot >= CAPACITY);
}

fn keys_at(slot: u32) -> u32 {
  return (slot * 2u * KV_HEADS + kv_head) * HALF;
}

fn values_at(slot: u32) -> u32 {
  return ((slot * 2u + 1u) * KV_HEADS + kv_head) * HALF;
}
