// What becomes of a chunk's scores: weights, e^(score - peak), and their sum.
//
// The stage's way of reading keys supplies
//   put_scores(quads, positions, first_fresh, thread),  which writes the scores of a chunk's positions to the pool:
//   query · key, for every query of a workgroup. Those from first_fresh on are not in the ring.
//   max_of_threads(value, thread) and sum_of_threads(value, thread) -> array<vec4f, 2>,  the largest of what SCORERS threads
//   have, and the sum; for either quad.

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

// Adds a pair of dimensions to four scores; of keys that are the same to all queries or not.
fn add_pair(score: vec4f, qa: vec4f, qb: vec4f, first: vec4f, second: vec4f) -> vec4f {
  return fma(second, qb, fma(first, qa, score));
}

// The ring slot of a position, or, if it is not in the ring, of some other: its score is thrown away.
fn key_at(position: u32) -> u32 {
  return keys_at(ring_slot_of(nearest_in_ring(position)));
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

fn seen(quad: u32, position: u32) -> vec4<bool> {
  return within(position, quads_at_work[quad].first, quads_at_work[quad].end);
}

fn within(position: u32, first: vec4u, end: vec4u) -> vec4<bool> {
  let p = vec4u(position);
  return (p >= first) & (p < end);
}

struct ChunkScores {
  peak: array<vec4f, 2>, // the largest score of each query; UNSEEN if it sees nothing of the chunk
  mass: array<vec4f, 2>, // Σ e^(score - peak)
}

// The largest of a thread's scores of a quad.
fn peak_of(quad: u32, chunk: Positions, thread: u32) -> vec4f {
  let first = quads_at_work[quad].first; // loaded once, since llvmpipe would load it for every position
  let end = quads_at_work[quad].end;
  var peak = vec4f(UNSEEN);
  for (var p = chunk.first + thread; p < chunk.end; p += SCORERS) {
    let score = pool[weights_at(quad) + p % CHUNK];
    peak = max(peak, select(vec4f(UNSEEN), score, within(p, first, end)));
  }
  return peak;
}

// Makes weights of them. Returns their sum.
fn weigh(quad: u32, chunk: Positions, peak: vec4f, thread: u32) -> vec4f {
  let first = quads_at_work[quad].first;
  let end = quads_at_work[quad].end;
  var mass = vec4f();
  for (var p = chunk.first + thread; p < chunk.end; p += SCORERS) {
    let at = weights_at(quad) + p % CHUNK;
    let weight = select(vec4f(), exp(pool[at] - peak), within(p, first, end));
    pool[at] = weight;
    mass += weight;
  }
  return mass;
}

// Scores of the chunk's positions, of which the queries see those in `sight`; leaves their weights in the pool.
fn score(chunk: u32, sight: Positions, quads: u32, thread: u32) -> ChunkScores {
  let origin = chunk * CHUNK;
  let positions = Positions(origin, min(origin + CHUNK, sight.end));
  var ring_end = positions.end;
  var first_fresh = positions.end;
  if (HAS_FRESH) {
    ring_end = max(min(ring_end, fresh_from()), 1u);
    first_fresh = min(max(origin, fresh_from()), positions.end);
  }
  ring_first = max(origin, sight.first);
  ring_last = ring_end - 1u;
  ring_slot = ring_first % CAPACITY;
  put_scores(quads, positions, first_fresh, thread);
  var peak = array<vec4f, 2>();
  if (thread < SCORERS) {
    peak[0] = peak_of(0u, positions, thread);
    if (has_both(quads)) {
      peak[1] = peak_of(1u, positions, thread);
    }
  }
  peak = max_of_threads(peak, thread);
  var mass = array<vec4f, 2>();
  if (thread < SCORERS) {
    mass[0] = weigh(0u, positions, peak[0], thread);
    if (has_both(quads)) {
      mass[1] = weigh(1u, positions, peak[1], thread);
    }
  }
  return ChunkScores(peak, sum_of_threads(mass, thread));
}
