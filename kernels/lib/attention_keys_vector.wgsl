// How keys meet queries where subgroups are a CPU's vector registers of 8 (llvmpipe): a workgroup is one vector, and a
// thread has the positions thread, thread + 8, … of a chunk, four at a time. Loads are what takes time: each lane makes
// them one by one, of 16 bytes at best, also where all lanes load the same. So of eight neighbours in the pool each lane
// loads one, and all take it from there. (What loads take: bench/README.md.)

fn query_place(i: u32) -> u32 {
  return i;
}

fn hold(at: u32, thread: u32) -> vec4f {
  return pool[at + thread];
}

// Scores of four keys with a quad's queries.
struct FourScores {
  a: vec4f,
  b: vec4f,
  c: vec4f,
  d: vec4f,
}

fn add_keys(s: FourScores, qa: vec4f, qb: vec4f, a: vec2f, b: vec2f, c: vec2f, d: vec2f) -> FourScores {
  return FourScores(
    add_pair(s.a, qa, qb, vec4f(a.x), vec4f(a.y)),
    add_pair(s.b, qa, qb, vec4f(b.x), vec4f(b.y)),
    add_pair(s.c, qa, qb, vec4f(c.x), vec4f(c.y)),
    add_pair(s.d, qa, qb, vec4f(d.x), vec4f(d.y)),
  );
}

fn four_scores(quad: u32, key: vec4u, thread: u32) -> FourScores {
  let first = queries_at(quad);
  let second = first + PAIRS;
  var s = FourScores();
  var i = 0u;
  loop {
    let qa = hold(first + i, thread);
    let qb = hold(second + i, thread);
    let a = four_pairs(key.x, i);
    let b = four_pairs(key.y, i);
    let c = four_pairs(key.z, i);
    let d = four_pairs(key.w, i);
    s = add_keys(s, subgroupBroadcast(qa, 0u), subgroupBroadcast(qb, 0u), a.a, b.a, c.a, d.a);
    s = add_keys(s, subgroupBroadcast(qa, 1u), subgroupBroadcast(qb, 1u), a.b, b.b, c.b, d.b);
    s = add_keys(s, subgroupBroadcast(qa, 2u), subgroupBroadcast(qb, 2u), a.c, b.c, c.c, d.c);
    s = add_keys(s, subgroupBroadcast(qa, 3u), subgroupBroadcast(qb, 3u), a.d, b.d, c.d, d.d);
    let e = four_pairs(key.x, i + 4u);
    let f = four_pairs(key.y, i + 4u);
    let g = four_pairs(key.z, i + 4u);
    let h = four_pairs(key.w, i + 4u);
    s = add_keys(s, subgroupBroadcast(qa, 4u), subgroupBroadcast(qb, 4u), e.a, f.a, g.a, h.a);
    s = add_keys(s, subgroupBroadcast(qa, 5u), subgroupBroadcast(qb, 5u), e.b, f.b, g.b, h.b);
    s = add_keys(s, subgroupBroadcast(qa, 6u), subgroupBroadcast(qb, 6u), e.c, f.c, g.c, h.c);
    s = add_keys(s, subgroupBroadcast(qa, 7u), subgroupBroadcast(qb, 7u), e.d, f.d, g.d, h.d);
    continuing {
      i += 8u;
      break if i >= PAIRS;
    }
  }
  return s;
}

// The scores of a fresh position, whose key is not the same to all queries, in the order of the ring's.
fn fresh_scores(quad: u32, position: u32) -> vec4f {
  let key = (fresh_slots(quad, position) * 2u * KV_HEADS + kv_head) * HALF;
  let first = queries_at(quad);
  let second = first + PAIRS;
  var scores = vec4f();
  for (var i = 0u; i < PAIRS; i += 4u) {
    let a = four_pairs(key.x, i);
    let b = four_pairs(key.y, i);
    let c = four_pairs(key.z, i);
    let d = four_pairs(key.w, i);
    scores = add_own(scores, pool[first + i], pool[second + i], a.a, b.a, c.a, d.a);
    scores = add_own(scores, pool[first + i + 1u], pool[second + i + 1u], a.b, b.b, c.b, d.b);
    scores = add_own(scores, pool[first + i + 2u], pool[second + i + 2u], a.c, b.c, c.c, d.c);
    scores = add_own(scores, pool[first + i + 3u], pool[second + i + 3u], a.d, b.d, c.d, d.d);
  }
  return scores;
}

// A thread writes what, until a barrier, it alone looks at.
fn put_scores(quads: u32, positions: Positions, first_fresh: u32, thread: u32) {
  var quad = 0u;
  loop {
    let at = weights_at(quad) + thread;
    for (var first = positions.first; first < positions.end; first += 4u * THREADS) {
      let p = first + thread + THREADS * vec4u(0u, 1u, 2u, 3u);
      let key = vec4u(key_at(p.x), key_at(p.y), key_at(p.z), key_at(p.w));
      let scores = four_scores(quad, key, thread);
      pool[at + first % CHUNK] = scores.a;
      pool[at + first % CHUNK + THREADS] = scores.b;
      pool[at + first % CHUNK + 2u * THREADS] = scores.c;
      pool[at + first % CHUNK + 3u * THREADS] = scores.d;
    }
    if (HAS_FRESH) {
      // Of eight neighbouring positions each is another thread's.
      let own = first_fresh + (thread - first_fresh) % THREADS;
      for (var fresh = own; fresh < positions.end; fresh += THREADS) {
        pool[weights_at(quad) + fresh % CHUNK] = fresh_scores(quad, fresh);
      }
    }
    continuing {
      quad++;
      break if quad == quads;
    }
  }
}

fn max_of_threads(value: array<vec4f, 2>, thread: u32) -> array<vec4f, 2> {
  var largest = value;
  largest[0] = subgroupMax(value[0]);
  if (QUADS == 2u) {
    largest[1] = subgroupMax(value[1]);
  }
  return largest;
}

fn sum_of_threads(value: array<vec4f, 2>, thread: u32) -> array<vec4f, 2> {
  workgroupBarrier(); // each has its weights in the pool
  var sum = value;
  sum[0] = subgroupAdd(value[0]);
  if (QUADS == 2u) {
    sum[1] = subgroupAdd(value[1]);
  }
  return sum;
}
