// The scores of a chunk: query · key, for every query of a workgroup and every position, and what becomes of them. A
// thread has the positions thread, thread + THREADS, … of a chunk.
//
// attention_memory.wgsl or attention_vector.wgsl, as it suits the device, supply
//   hold(at, thread) and take0 to take7,  which together load eight neighbours of the pool.

struct Two {
  a: vec4f,
  b: vec4f,
}

// Four neighbouring pairs of dimensions of a key.
struct FourPairs {
  a: vec2f,
  b: vec2f,
  c: vec2f,
  d: vec2f,
}

// Four neighbouring pairs of a key from i on, a multiple of four. Past the last pair, where the query is zero, others.
fn four_pairs(key: u32, i: u32) -> FourPairs {
  if (HALF % 4u == 0u) {
    return cached_four(key + min(i + 4u, HALF) - 4u);
  }
  let last = HALF - 1u;
  return FourPairs(
    cached(key + min(i, last)),
    cached(key + min(i + 1u, last)),
    cached(key + min(i + 2u, last)),
    cached(key + min(i + 3u, last)),
  );
}

fn add_products(two: Two, qa: vec4f, qb: vec4f, a: vec2f, b: vec2f) -> Two {
  return Two(
    fma(vec4f(a.y), qb, fma(vec4f(a.x), qa, two.a)),
    fma(vec4f(b.y), qb, fma(vec4f(b.x), qa, two.b)),
  );
}

// Scores of two keys with a quad's queries.
fn two_scores(quad: u32, key_a: u32, key_b: u32, thread: u32) -> Two {
  let first = queries_at(quad);
  let second = first + HALF8;
  var two = Two();
  var i = 0u;
  loop {
    let a = hold(first + i, thread);
    let b = hold(second + i, thread);
    let ka = four_pairs(key_a, i);
    let kb = four_pairs(key_b, i);
    two = add_products(two, take0(a, first + i), take0(b, second + i), ka.a, kb.a);
    two = add_products(two, take1(a, first + i), take1(b, second + i), ka.b, kb.b);
    two = add_products(two, take2(a, first + i), take2(b, second + i), ka.c, kb.c);
    two = add_products(two, take3(a, first + i), take3(b, second + i), ka.d, kb.d);
    let la = four_pairs(key_a, i + 4u);
    let lb = four_pairs(key_b, i + 4u);
    two = add_products(two, take4(a, first + i), take4(b, second + i), la.a, lb.a);
    two = add_products(two, take5(a, first + i), take5(b, second + i), la.b, lb.b);
    two = add_products(two, take6(a, first + i), take6(b, second + i), la.c, lb.c);
    two = add_products(two, take7(a, first + i), take7(b, second + i), la.d, lb.d);
    continuing {
      i += 8u;
      break if i >= HALF8;
    }
  }
  return two;
}

// The scores of a fresh position, whose key is not the same to all queries.
fn fresh_scores(quad: u32, position: u32) -> vec4f {
  let slot = fresh_slots(quad, position);
  let key = (slot * 2u * KV_HEADS + kv_head) * HALF;
  let first = queries_at(quad);
  var scores = vec4f();
  for (var i = 0u; i < HALF8; i++) {
    let k = min(i, HALF - 1u);
    let k0 = cached(key.x + k);
    let k1 = cached(key.y + k);
    let k2 = cached(key.z + k);
    let k3 = cached(key.w + k);
    scores = fma(vec4f(k0.x, k1.x, k2.x, k3.x), pool[first + i], scores);
    scores = fma(vec4f(k0.y, k1.y, k2.y, k3.y), pool[first + HALF8 + i], scores);
  }
  return scores;
}

fn fresh_slots(quad: u32, position: u32) -> vec4u {
  let query = 4u * quad;
  return vec4u(
    fresh_slot_of(query, position),
    fresh_slot_of(query + 1u, position),
    fresh_slot_of(query + 2u, position),
    fresh_slot_of(query + 3u, position),
  );
}

const UNSEEN = -3.0e38;

fn seen(quad: Quad, position: u32) -> vec4<bool> {
  return vec4<bool>(vec4u(vec4u(position) >= quad.first) & vec4u(vec4u(position) < quad.end));
}

struct Chunk {
  peak: array<vec4f, 2>, // the largest score of each query; UNSEEN if it sees nothing of the chunk
  mass: array<vec4f, 2>, // Σ e^(score - peak)
}

// Writes a thread's scores of a quad to the pool, where until a barrier it alone looks at them. `fresh` is its own one
// of the positions that may be fresh.
fn put_scores(quad: u32, origin: u32, ring_last: u32, fresh: u32, end: u32, thread: u32) {
  let at = weights_at(quad);
  for (var k = thread; k < end - origin + thread; k += 2u * THREADS) {
    // Where a position is not in the ring, the score with some other is thrown away.
    let a = max(min(origin + k, ring_last), ring_first);
    let b = max(min(origin + k + THREADS, ring_last), ring_first);
    let two = two_scores(quad, keys_at(ring_slot_of(a)), keys_at(ring_slot_of(b)), thread);
    pool[at + k] = two.a;
    pool[at + k + THREADS] = two.b;
  }
  if (HAS_FRESH && fresh < end) {
    pool[at + fresh - origin] = fresh_scores(quad, fresh);
  }
}

// The largest of a thread's scores of a quad.
fn peak_of(quad: u32, queries: Quad, origin: u32, end: u32, thread: u32) -> vec4f {
  var peak = vec4f(UNSEEN);
  for (var k = thread; k < end - origin; k += THREADS) {
    peak = max(peak, select(vec4f(UNSEEN), pool[weights_at(quad) + k], seen(queries, origin + k)));
  }
  return peak;
}

// Makes weights of them. Returns their sum.
fn weigh(quad: u32, queries: Quad, origin: u32, end: u32, peak: vec4f, thread: u32) -> vec4f {
  var mass = vec4f();
  for (var k = thread; k < end - origin; k += THREADS) {
    let at = weights_at(quad) + k;
    let weight = select(vec4f(), exp(pool[at] - peak), seen(queries, origin + k));
    pool[at] = weight;
    mass += weight;
  }
  return mass;
}

// Scores of the chunk's positions; leaves their weights in the pool.
fn score(chunk: u32, quads: u32, thread: u32) -> Chunk {
  let origin = chunk * CHUNK;
  let end = min(origin + CHUNK, highest);
  var ring_last = end - 1u;
  var first_fresh = origin;
  if (HAS_FRESH) {
    ring_last = max(min(end, fresh_from()), 1u) - 1u;
    first_fresh = max(origin, fresh_from());
  }
  ring_first = max(origin, lowest);
  ring_slot = ring_first % CAPACITY;
  // Of THREADS neighbouring positions each is another thread's, and no more are fresh.
  let fresh = first_fresh + (thread - first_fresh) % THREADS;
  var quad = 0u;
  loop {
    put_scores(quad, origin, ring_last, fresh, end, thread);
    continuing {
      quad++;
      break if quad == quads;
    }
  }
  var peak = array(peak_of(0u, quad0, origin, end, thread), vec4f());
  if (has_both(quads)) {
    peak[1] = peak_of(1u, quad1, origin, end, thread);
  }
  peak = max_of_threads(peak, thread);
  var mass = array(weigh(0u, quad0, origin, end, peak[0], thread), vec4f());
  if (has_both(quads)) {
    mass[1] = weigh(1u, quad1, origin, end, peak[1], thread);
  }
  return Chunk(peak, sum_of_threads(mass, thread));
}

fn tell(value: array<vec4f, 2>, thread: u32) {
  found[thread][0].first = value[0];
  found[thread][1].first = value[1];
}

fn heard(thread: u32) -> array<vec4f, 2> {
  return array(found[thread][0].first, found[thread][1].first);
}

// The largest of all threads' values; of a workgroup's quads.
fn max_of_threads(value: array<vec4f, 2>, thread: u32) -> array<vec4f, 2> {
  tell(value, thread);
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      let other = heard(thread + stride);
      found[thread][0].first = max(found[thread][0].first, other[0]);
      found[thread][1].first = max(found[thread][1].first, other[1]);
    }
  }
  workgroupBarrier();
  let result = heard(0u);
  workgroupBarrier();
  return result;
}

// Their sum.
fn sum_of_threads(value: array<vec4f, 2>, thread: u32) -> array<vec4f, 2> {
  tell(value, thread);
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      let other = heard(thread + stride);
      found[thread][0].first += other[0];
      found[thread][1].first += other[1];
    }
  }
  workgroupBarrier();
  let result = heard(0u);
  workgroupBarrier();
  return result;
}
