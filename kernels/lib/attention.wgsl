// One chunk of attention: what up to eight queries see of CHUNK neighbouring key positions. The queries of a key
// head are those of all rows, a row's heads side by side; four of them are a quad, and sit side by side in a
// vec4. A workgroup has QUADS quads, so that keys and values are read once for all of their queries.
//
// The past is cut at absolute multiples of CHUNK, and what a query adds up, and in which order, only its position
// decides: its bits do not depend on the other queries.
//
// attention_scores.wgsl makes weights of a chunk's scores. How keys meet queries and values their weights differs:
// attention_keys.wgsl, attention_values.wgsl and attention_threads.wgsl are for GPUs, those ending in _vector for
// subgroups that are a CPU's vector registers. A stage supplies the bindings of q and cache, and
//   position_of(row) -> u32,  where a row stands;
//   put(quad, pair, values),  which takes a pair of dimensions' sums over a chunk;
//   HAS_FRESH: bool,  whether there are positions that are not in the ring yet, and if so
//   fresh_from() -> u32,  the first of them, and
//   fresh_slot_of(query, position) -> u32,  where it is to one of the queries.
// The way of reading keys supplies
//   query_place(i) -> u32,  where pair i of a query is kept, of PAIRS places;
//   quads_at_work: array<Quad, 2>,  the quads that the workgroup has, and
//   keep_quad(quad, queries, thread),  which puts one there.

override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;   // head_dim / 2
override PAIRS: u32;  // HALF, rounded up to what the threads of a key take at once; past HALF queries are zero
override SCALE: f32;  // 1 / √head_dim
override THREADS: u32; // of a workgroup: a power of two, at least 8
override QUADS: u32;  // of a workgroup: 1 or 2
override POOL: u32;   // QUADS · (2 · PAIRS + CHUNK)
override SCORERS: u32; // threads that make weights of scores: a power of two

// For each quad: its queries' dimensions i, scaled [PAIRS], each at its place; their dimensions i + HALF [PAIRS]; and,
// chunk by chunk, e^(score - peak) [CHUNK].
var<workgroup> pool: array<vec4f, POOL>;

// Sums of values, weighted, for a quad.
struct Values {
  first: vec4f,  // dimension i of the four queries
  second: vec4f, // dimension i + HALF
}

// Four queries. Those past the last repeat it, and are thrown away.
struct Quad {
  row: vec4u,
  head: vec4u,
  first: vec4u, // the first position that each sees
  end: vec4u,   // the position after the last
}

var<private> kv_head: u32;

// Some neighbouring positions.
struct Positions {
  first: u32,
  end: u32, // the position after the last
}

// Whether so many quads are two, of which no code is made where there is never more than one.
fn has_both(quads: u32) -> bool {
  return QUADS == 2u && quads == 2u;
}

fn queries_at(quad: u32) -> u32 {
  return quad * (2u * PAIRS + CHUNK);
}

fn weights_at(quad: u32) -> u32 {
  return queries_at(quad) + 2u * PAIRS;
}

fn least(v: vec4u) -> u32 {
  return min(min(v.x, v.y), min(v.z, v.w));
}

fn most(v: vec4u) -> u32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}

// Loads the quad whose first query is number `first` of `count`. Returns what any of its queries sees.
fn load_quad(quad: u32, first: u32, count: u32, thread: u32) -> Positions {
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
  for (var i = thread; i < PAIRS; i += THREADS) {
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
    pool[at + query_place(i)] = a;
    pool[at + PAIRS + query_place(i)] = b;
  }
  let end = position + vec4u(1u);
  keep_quad(quad, Quad(row, head, start, end), thread);
  return Positions(least(start), most(end));
}

// Loads the queries from number `first` of `count` on, in so many quads. Returns what any of them sees. (In a value, and
// not in a private variable: the loops that it bounds have barriers, and must be seen to be uniform.)
fn load_queries(first: u32, count: u32, quads: u32, thread: u32) -> Positions {
  workgroupBarrier(); // the queries before have been done with
  var sight = load_quad(0u, first, count, thread);
  if (has_both(quads)) {
    let more = load_quad(1u, first + 4u, count, thread);
    sight = Positions(min(sight.first, more.first), max(sight.end, more.end));
  }
  workgroupBarrier();
  return sight;
}

// Keys and values of committed positions stand in a ring. Of a chunk, those from `ring_first`, which is at `ring_slot`,
// to `ring_last` are looked at: no more than it holds. If there are none, `ring_last` comes before.
var<private> ring_first: u32;
var<private> ring_last: u32;
var<private> ring_slot: u32;

fn nearest_in_ring(position: u32) -> u32 {
  return max(min(position, ring_last), ring_first);
}

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
