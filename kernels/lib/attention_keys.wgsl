// How keys meet queries on a GPU. SHARERS threads share two keys, each a part of their dimensions, so that as many loads
// as can be are under way at once: at short contexts memory's latency is what attention waits for. Of a chunk of
// Mistral-7B keys take one round of loads and values two (counted in ptxas's code); a thread for every two keys waited 8
// and 16 times. Neighbouring threads read neighbouring 16 bytes.
//
// attention_shared.wgsl or attention_alone.wgsl supply
//   sharer(thread) -> u32,  which of the threads that share a key it is;
//   key_of(thread) -> u32,  which of the THREADS / SHARERS keys that are looked at side by side is its own; and
//   sum_sharers(v) -> vec4f,  the sum over them; all of them get it.

override SHARERS: u32; // 1, 2 or 4; PAIRS is a multiple of 16 · SHARERS

// Sharers read neighbouring fours of a query, each the first pairs of their fours together: so sixteen pairs are kept
// the fours' first pairs first. Sixteen bytes each, they would lie in the same banks of workgroup memory otherwise.
fn query_place(i: u32) -> u32 {
  return i / 16u * 16u + i / 4u % 4u + 4u * (i % 4u);
}

// How much further on the first pair of a thread's four number n is kept than that of its first four. The pairs after it
// come four places apart.
fn four_apart(n: u32) -> u32 {
  let fours = n * SHARERS;
  return fours / 4u * 16u + fours % 4u;
}

// Two keys' scores with a quad's queries.
struct Two {
  a: vec4f,
  b: vec4f,
}

// Sixteen of a key's pairs, what a thread takes at once: four fours, SHARERS fours apart.
struct SixteenPairs {
  a: FourPairs,
  b: FourPairs,
  c: FourPairs,
  d: FourPairs,
}

// What is added up for either quad.
struct Scores {
  quad0: Two,
  quad1: Two,
}

fn sixteen_pairs(key: u32, i: u32) -> SixteenPairs {
  return SixteenPairs(
    four_pairs(key, i),
    four_pairs(key, i + 4u * SHARERS),
    four_pairs(key, i + 8u * SHARERS),
    four_pairs(key, i + 12u * SHARERS),
  );
}

fn add_products(two: Two, qa: vec4f, qb: vec4f, a: vec2f, b: vec2f) -> Two {
  return Two(
    add_pair(two.a, qa, qb, vec4f(a.x), vec4f(a.y)),
    add_pair(two.b, qa, qb, vec4f(b.x), vec4f(b.y)),
  );
}

fn add_four(two: Two, quad: u32, place: u32, a: FourPairs, b: FourPairs) -> Two {
  let first = queries_at(quad) + place;
  let second = first + PAIRS;
  var sum = add_products(two, pool[first], pool[second], a.a, b.a);
  sum = add_products(sum, pool[first + 4u], pool[second + 4u], a.b, b.b);
  sum = add_products(sum, pool[first + 8u], pool[second + 8u], a.c, b.c);
  return add_products(sum, pool[first + 12u], pool[second + 12u], a.d, b.d);
}

// Four at a time for all quads, so that a key's are done with before the next are unpacked.
fn add_four_to_all(scores: Scores, quads: u32, place: u32, a: FourPairs, b: FourPairs) -> Scores {
  var sums = scores;
  sums.quad0 = add_four(sums.quad0, 0u, place, a, b);
  if (has_both(quads)) {
    sums.quad1 = add_four(sums.quad1, 1u, place, a, b);
  }
  return sums;
}

// A thread's part of two keys' scores.
fn own_scores(quads: u32, key_a: u32, key_b: u32, thread: u32) -> Scores {
  var two = Scores();
  for (var pair = 0u; pair < PAIRS; pair += 16u * SHARERS) {
    let a = sixteen_pairs(key_a, pair + 4u * sharer(thread));
    let b = sixteen_pairs(key_b, pair + 4u * sharer(thread));
    let place = pair + sharer(thread);
    two = add_four_to_all(two, quads, place, a.a, b.a);
    two = add_four_to_all(two, quads, place + four_apart(1u), a.b, b.b);
    two = add_four_to_all(two, quads, place + four_apart(2u), a.c, b.c);
    two = add_four_to_all(two, quads, place + four_apart(3u), a.d, b.d);
  }
  return two;
}

// The scores of positions in the ring, two keys at a time, for all quads. (All threads go round as often and add up
// together, as subgroup operations want it.)
fn put_ring_scores(quads: u32, positions: Positions, thread: u32) {
  let keys = THREADS / SHARERS;
  for (var first = positions.first; first < positions.end; first += 2u * keys) {
    let p = first + key_of(thread);
    var two = Scores();
    if (p < positions.end) {
      two = own_scores(quads, key_at(p), key_at(p + keys), thread);
    }
    put_two(0u, two.quad0, p, positions.end, thread);
    if (has_both(quads)) {
      put_two(1u, two.quad1, p, positions.end, thread);
    }
  }
}

fn put_two(quad: u32, two: Two, p: u32, end: u32, thread: u32) {
  put_score(quad, sum_sharers(two.a), p, end, thread);
  put_score(quad, sum_sharers(two.b), p + THREADS / SHARERS, end, thread);
}

fn put_score(quad: u32, score: vec4f, p: u32, end: u32, thread: u32) {
  if (sharer(thread) == 0u && p < end) {
    pool[weights_at(quad) + p % CHUNK] = score;
  }
}

// Adds a pair of four queries' own keys.
fn add_own(sum: vec4f, qa: vec4f, qb: vec4f, a: vec2f, b: vec2f, c: vec2f, d: vec2f) -> vec4f {
  return add_pair(sum, qa, qb, vec4f(a.x, b.x, c.x, d.x), vec4f(a.y, b.y, c.y, d.y));
}

// Four pairs of four queries' own keys.
fn add_own_four(scores: vec4f, quad: u32, place: u32, i: u32, key: vec4u) -> vec4f {
  let first = queries_at(quad) + place;
  let second = first + PAIRS;
  let a = four_pairs(key.x, i);
  let b = four_pairs(key.y, i);
  let c = four_pairs(key.z, i);
  let d = four_pairs(key.w, i);
  var sum = add_own(scores, pool[first], pool[second], a.a, b.a, c.a, d.a);
  sum = add_own(sum, pool[first + 4u], pool[second + 4u], a.b, b.b, c.b, d.b);
  sum = add_own(sum, pool[first + 8u], pool[second + 8u], a.c, b.c, c.c, d.c);
  return add_own(sum, pool[first + 12u], pool[second + 12u], a.d, b.d, c.d, d.d);
}

// The scores of fresh positions, whose keys are not the same to all queries, in the order of the ring's.
fn put_fresh_scores(quad: u32, positions: Positions, thread: u32) {
  for (var first = positions.first; first < positions.end; first += THREADS / SHARERS) {
    let p = first + key_of(thread);
    var scores = vec4f();
    if (p < positions.end) {
      let key = (fresh_slots(quad, p) * 2u * KV_HEADS + kv_head) * HALF;
      for (var pair = 0u; pair < PAIRS; pair += 16u * SHARERS) {
        let i = pair + 4u * sharer(thread);
        let place = pair + sharer(thread);
        scores = add_own_four(scores, quad, place, i, key);
        scores = add_own_four(scores, quad, place + four_apart(1u), i + 4u * SHARERS, key);
        scores = add_own_four(scores, quad, place + four_apart(2u), i + 8u * SHARERS, key);
        scores = add_own_four(scores, quad, place + four_apart(3u), i + 12u * SHARERS, key);
      }
    }
    put_score(quad, sum_sharers(scores), p, positions.end, thread);
  }
}

fn put_scores(quads: u32, positions: Positions, first_fresh: u32, thread: u32) {
  put_ring_scores(quads, Positions(positions.first, first_fresh), thread);
  if (HAS_FRESH) {
    let fresh = Positions(first_fresh, positions.end);
    put_fresh_scores(0u, fresh, thread);
    if (has_both(quads)) {
      put_fresh_scores(1u, fresh, thread);
    }
  }
  workgroupBarrier();
}
