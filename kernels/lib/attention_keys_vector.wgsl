// How keys meet queries where subgroups are a CPU's vector registers of 4 or 8 (llvmpipe): a workgroup is one vector, and a
// thread has the positions thread, thread + THREADS, … of a chunk, four at a time. Loads are what takes time: each lane makes
// them one by one, of 16 bytes at best, also where all lanes load the same. So of eight neighbours in the pool each lane
// loads one, or with four lanes two, and all take them from there. (What loads take: bench/README.md.)
//
// They are also what takes time to compile: each value that is loaded or stored is a loop over the lanes, and the time
// grows with the square of their number. So what is done rarely is written once, in a loop.

var<private> quads_at_work: array<Quad, 2>;

fn keep_quad(quad: u32, queries: Quad, thread: u32) {
  quads_at_work[quad] = queries;
}

fn query_place(i: u32) -> u32 {
  return i;
}

// Of the pool, what a lane holds of four neighbours and of another four; with eight lanes only one of both.
struct Held {
  lower: vec4f,
  upper: vec4f,
}

// The four from `lower` on, and those from `upper` on.
fn hold(lower: u32, upper: u32, thread: u32) -> Held {
  let mine = pool[select(lower, upper, thread >= 4u) + thread % 4u];
  if (VECTOR == 8u) {
    return Held(mine, mine);
  }
  return Held(mine, pool[upper + thread]);
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
  var s = FourScores();
  var i = 0u;
  loop {
    let q = hold(queries_at(quad) + i, queries_at(quad) + PAIRS + i, thread);
    let a = four_pairs(key.x, i);
    let b = four_pairs(key.y, i);
    let c = four_pairs(key.z, i);
    let d = four_pairs(key.w, i);
    s = add_keys(s, subgroupBroadcast(q.lower, 0u), subgroupBroadcast(q.upper, UPPER + 0u), a.a, b.a, c.a, d.a);
    s = add_keys(s, subgroupBroadcast(q.lower, 1u), subgroupBroadcast(q.upper, UPPER + 1u), a.b, b.b, c.b, d.b);
    s = add_keys(s, subgroupBroadcast(q.lower, 2u), subgroupBroadcast(q.upper, UPPER + 2u), a.c, b.c, c.c, d.c);
    s = add_keys(s, subgroupBroadcast(q.lower, 3u), subgroupBroadcast(q.upper, UPPER + 3u), a.d, b.d, c.d, d.d);
    continuing {
      i += 4u;
      break if i >= PAIRS;
    }
  }
  return s;
}

// A fresh position's keys to four queries.
fn fresh_keys(quad: u32, position: u32) -> vec4u {
  return (fresh_slots(quad, position) * 2u * KV_HEADS + kv_head) * HALF;
}

// Of eight neighbouring positions each is another thread's, which until a barrier alone looks at what it writes. A thread
// takes the keys of four positions, or, once those of the ring are done, what a fresh one's key is to each of four queries.
fn put_scores(quads: u32, positions: Positions, first_fresh: u32, thread: u32) {
  var quad = 0u;
  loop {
    var is_fresh = false;
    var first = positions.first;
    while (first < positions.end) {
      let p = first + thread + THREADS * vec4u(0u, 1u, 2u, 3u);
      let fresh = max(min(p.x, positions.end - 1u), first_fresh);
      var key = vec4u(key_at(p.x), key_at(p.y), key_at(p.z), key_at(p.w));
      if (is_fresh) {
        key = fresh_keys(quad, fresh);
      }
      let s = four_scores(quad, key, thread);
      let at = weights_at(quad) + thread + first % CHUNK;
      if (!is_fresh) {
        pool[at] = s.a;
        pool[at + THREADS] = s.b;
        pool[at + 2u * THREADS] = s.c;
        pool[at + 3u * THREADS] = s.d;
        first += 4u * THREADS;
        if (HAS_FRESH && first >= first_fresh) {
          is_fresh = true;
          first = first_fresh / THREADS * THREADS;
        }
      } else {
        if (p.x == fresh) {
          pool[at] = vec4f(s.a.x, s.b.y, s.c.z, s.d.w);
        }
        first += THREADS;
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
