// One chunk of attention: what a query position sees of CHUNK neighbouring key positions, for four query
// heads that share a key head (they sit side by side in a vec4). The past is cut at absolute multiples of
// CHUNK and added up in an order that only the position decides, so a row's bits depend on nothing else.
//
// A thread has four positions, so that a query value is read once for four of them, and a barrier waits for
// few threads (model in the box, llvmpipe: about half the time of one position a thread).
//
// A stage supplies  slot_of(position) -> u32,  put(pair, values)  and the bindings of q and cache.

const CHUNK = 128u;  // positions of a chunk
const THREADS = 32u; // threads of a workgroup; each has the positions thread + 0, 32, 64, 96 of a chunk

override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;   // head_dim / 2
override WINDOW: u32; // config: sliding_window; a query at p sees keys from p - WINDOW + 1 on
override SCALE: f32;  // 1 / √head_dim

var<workgroup> q_first: array<vec4f, HALF>;  // dimensions i of the four heads, scaled
var<workgroup> q_second: array<vec4f, HALF>; // dimensions i + HALF
var<workgroup> slots: array<u32, CHUNK>;
var<workgroup> weight: array<vec4f, CHUNK>;  // e^(score - peak)
var<workgroup> scratch: array<vec4f, THREADS>;
var<workgroup> partial: array<array<Values, 2>, THREADS>;

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
  for (var i = thread; i < HALF; i += THREADS) {
    let q0 = q[h.x * HALF + i];
    let q1 = q[h.y * HALF + i];
    let q2 = q[h.z * HALF + i];
    let q3 = q[h.w * HALF + i];
    q_first[i] = vec4f(q0.x, q1.x, q2.x, q3.x) * SCALE;
    q_second[i] = vec4f(q0.y, q1.y, q2.y, q3.y) * SCALE;
  }
  workgroupBarrier();
}

// Scores of the positions [first, end), all in one chunk; leaves weight[] and slots[] behind.
fn score(first: u32, end: u32, kv_head: u32, thread: u32) -> Chunk {
  const NONE = vec4f(-3.0e38);
  let position = vec4u(0u, 1u, 2u, 3u) * THREADS + first / CHUNK * CHUNK + thread;
  let seen = vec4<bool>(vec4u(position >= vec4u(first)) & vec4u(position < vec4u(end)));
  let near = clamp(position, vec4u(first), vec4u(end - 1u)); // the unseen are computed and thrown away
  let slot = vec4u(slot_of(near.x), slot_of(near.y), slot_of(near.z), slot_of(near.w));
  let key = (slot * 2u * KV_HEADS + kv_head) * HALF;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var i = 0u; i < HALF; i++) {
    let qa = q_first[i];
    let qb = q_second[i];
    let k0 = unpack_pair(cache[key.x + i]);
    let k1 = unpack_pair(cache[key.y + i]);
    let k2 = unpack_pair(cache[key.z + i]);
    let k3 = unpack_pair(cache[key.w + i]);
    s0 = fma(vec4f(k0.y), qb, fma(vec4f(k0.x), qa, s0));
    s1 = fma(vec4f(k1.y), qb, fma(vec4f(k1.x), qa, s1));
    s2 = fma(vec4f(k2.y), qb, fma(vec4f(k2.x), qa, s2));
    s3 = fma(vec4f(k3.y), qb, fma(vec4f(k3.x), qa, s3));
  }
  s0 = select(NONE, s0, seen.x);
  s1 = select(NONE, s1, seen.y);
  s2 = select(NONE, s2, seen.z);
  s3 = select(NONE, s3, seen.w);
  scratch[thread] = max(max(s0, s1), max(s2, s3));
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      scratch[thread] = max(scratch[thread], scratch[thread + stride]);
    }
  }
  workgroupBarrier();
  let peak = scratch[0];
  workgroupBarrier();
  s0 = select(vec4f(), exp(s0 - peak), seen.x);
  s1 = select(vec4f(), exp(s1 - peak), seen.y);
  s2 = select(vec4f(), exp(s2 - peak), seen.z);
  s3 = select(vec4f(), exp(s3 - peak), seen.w);
  weight[thread] = s0;
  weight[thread + THREADS] = s1;
  weight[thread + 2u * THREADS] = s2;
  weight[thread + 3u * THREADS] = s3;
  slots[thread] = slot.x;
  slots[thread + THREADS] = slot.y;
  slots[thread + 2u * THREADS] = slot.z;
  slots[thread + 3u * THREADS] = slot.w;
  scratch[thread] = (s0 + s1) + (s2 + s3);
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
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

fn add_value(sum: Values, w: vec4f, at: u32) -> Values {
  let v = unpack_pair(cache[at]);
  return Values(fma(w, vec4f(v.x), sum.first), fma(w, vec4f(v.y), sum.second));
}

// Σ weight · value over [first, end) for every pair of dimensions, each handed to put(). A thread has two pairs,
// so that a weight is read once for both; where there are more threads than that takes, several share the
// positions and the first of them adds up what they found.
fn gather(first: u32, end: u32, kv_head: u32, thread: u32) {
  let tile = min((HALF + 1u) / 2u, THREADS);
  let parts = THREADS / tile;
  let part = thread / tile;
  let chunk = first / CHUNK * CHUNK;
  for (var start = 0u; start < HALF; start += 2u * tile) {
    let i = start + thread % tile;
    let j = min(i + tile, HALF - 1u);
    var sums = array<Values, 2>();
    if (part < parts && i < HALF) {
      for (var position = first + part; position < end; position += parts) {
        let w = weight[position - chunk];
        let value = ((slots[position - chunk] * 2u + 1u) * KV_HEADS + kv_head) * HALF;
        sums[0] = add_value(sums[0], w, value + i);
        sums[1] = add_value(sums[1], w, value + j);
      }
    }
    partial[thread] = sums;
    workgroupBarrier();
    if (thread < tile) {
      for (var other = 1u; other < parts; other++) {
        let more = partial[other * tile + thread];
        sums[0] = Values(sums[0].first + more[0].first, sums[0].second + more[0].second);
        sums[1] = Values(sums[1].first + more[1].first, sums[1].second + more[1].second);
      }
      if (i < HALF) {
        put(i, sums[0]);
      }
      if (i + tile < HALF) {
        put(j, sums[1]);
      }
    }
    workgroupBarrier();
  }
}
