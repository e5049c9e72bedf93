// One chunk of attention: what a query position sees of CHUNK neighbouring key positions, for four query
// heads that share a key head (they sit side by side in a vec4). The past is cut at absolute multiples of
// CHUNK and added up in an order that only the position decides, so a row's bits depend on nothing else.
//
// A stage supplies  slot_of(position) -> u32  and the bindings of q and cache.

const CHUNK = 128u; // positions of a chunk = threads of a workgroup

override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;   // head_dim / 2
override TILE: u32;   // pairs of output dimensions gathered at a time: min(HALF, CHUNK)
override PARTS: u32;  // threads that share such a pair: CHUNK / TILE, rounded down
override WINDOW: u32; // config: sliding_window; a query at p sees keys from p - WINDOW + 1 on
override SCALE: f32;  // 1 / √head_dim

var<workgroup> q_first: array<vec4f, HALF>;  // dimensions i of the four heads, scaled
var<workgroup> q_second: array<vec4f, HALF>; // dimensions i + HALF
var<workgroup> slots: array<u32, CHUNK>;
var<workgroup> weight: array<vec4f, CHUNK>;  // e^(score - peak)
var<workgroup> scratch: array<vec4f, CHUNK>;
var<workgroup> scratch2: array<vec4f, CHUNK>;

struct Chunk {
  peak: vec4f, // the largest score of each head
  mass: vec4f, // Σ e^(score - peak)
}

fn window_start(position: u32) -> u32 {
  return select(0u, position + 1u - WINDOW, position >= WINDOW);
}

// Four query heads: `member` 0 to 3 of quad number `quad`; heads past the group's end repeat its last one.
fn head_of(quad: u32, member: u32) -> u32 {
  let group = HEADS / KV_HEADS;
  let quads = (group + 3u) / 4u;
  return quad / quads * group + min(quad % quads * 4u + member, group - 1u);
}

fn is_head(quad: u32, member: u32) -> bool {
  let group = HEADS / KV_HEADS;
  return quad % ((group + 3u) / 4u) * 4u + member < group;
}

fn load_queries(row: u32, quad: u32, thread: u32) {
  let h = row * HEADS + vec4u(head_of(quad, 0u), head_of(quad, 1u), head_of(quad, 2u), head_of(quad, 3u));
  for (var i = thread; i < HALF; i += CHUNK) {
    let q0 = q[h.x * HALF + i];
    let q1 = q[h.y * HALF + i];
    let q2 = q[h.z * HALF + i];
    let q3 = q[h.w * HALF + i];
    q_first[i] = vec4f(q0.x, q1.x, q2.x, q3.x) * SCALE;
    q_second[i] = vec4f(q0.y, q1.y, q2.y, q3.y) * SCALE;
  }
  workgroupBarrier();
}

// Scores of the positions [first, end), all in one chunk, one a thread; leaves weight[] and slots[] behind.
fn score(first: u32, end: u32, kv_head: u32, thread: u32) -> Chunk {
  const NONE = vec4f(-3.0e38);
  let position = first / CHUNK * CHUNK + thread;
  let seen = position >= first && position < end;
  var s = NONE;
  if (seen) {
    let slot = slot_of(position);
    slots[thread] = slot;
    let key = (slot * 2u * KV_HEADS + kv_head) * HALF;
    s = vec4f();
    for (var i = 0u; i < HALF; i++) {
      let k = unpack_pair(cache[key + i]);
      s = fma(vec4f(k.x), q_first[i], s);
      s = fma(vec4f(k.y), q_second[i], s);
    }
  }
  scratch[thread] = s;
  for (var stride = CHUNK / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      scratch[thread] = max(scratch[thread], scratch[thread + stride]);
    }
  }
  workgroupBarrier();
  let peak = scratch[0];
  workgroupBarrier();
  let e = select(vec4f(), exp(s - peak), seen);
  weight[thread] = e;
  scratch[thread] = e;
  for (var stride = CHUNK / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      scratch[thread] += scratch[thread + stride];
    }
  }
  workgroupBarrier();
  let mass = scratch[0];
  workgroupBarrier();
  return Chunk(peak, mass);
}

struct Values {
  first: vec4f,  // dimension i of the four heads
  second: vec4f, // dimension i + HALF
}

// Σ weight · value over [first, end) for the TILE pairs of dimensions from `tile` on: PARTS threads share a
// pair, each takes every PARTS-th position, and the first of them adds up what they found. Valid for the
// threads below TILE, for pair tile + thread.
fn gather(first: u32, end: u32, kv_head: u32, tile: u32, thread: u32) -> Values {
  var sum = Values();
  let i = tile + thread % TILE;
  let part = thread / TILE;
  let chunk = first / CHUNK * CHUNK;
  if (part < PARTS && i < HALF) {
    for (var position = first + part; position < end; position += PARTS) {
      let w = weight[position - chunk];
      let v = unpack_pair(cache[((slots[position - chunk] * 2u + 1u) * KV_HEADS + kv_head) * HALF + i]);
      sum.first = fma(w, vec4f(v.x), sum.first);
      sum.second = fma(w, vec4f(v.y), sum.second);
    }
  }
  scratch[thread] = sum.first;
  scratch2[thread] = sum.second;
  workgroupBarrier();
  if (thread < TILE) {
    for (var other = 1u; other < PARTS; other++) {
      sum.first += scratch[other * TILE + thread];
      sum.second += scratch2[other * TILE + thread];
    }
  }
  workgroupBarrier();
  return sum;
}
