// How keys meet queries where subgroups are a CPU's vector registers of 8 (llvmpipe): a thread has the positions
// thread, thread + THREADS, … of a chunk. A load costs about as much as a dozen broadcasts, also where all lanes load the
// same: of eight neighbours in the pool each lane loads one, and all lanes take it from there.

fn query_place(i: u32) -> u32 {
  return i;
}

fn hold(at: u32, thread: u32) -> vec4f {
  return pool[at + thread % 8u];
}

// Scores of two keys with a quad's queries.
fn two_scores(quad: u32, key_a: u32, key_b: u32, thread: u32) -> Two {
  let first = queries_at(quad);
  let second = first + PAIRS;
  var two = Two();
  var i = 0u;
  loop {
    let a = hold(first + i, thread);
    let b = hold(second + i, thread);
    let ka = four_pairs(key_a, i);
    let kb = four_pairs(key_b, i);
    two = add_products(two, subgroupBroadcast(a, 0u), subgroupBroadcast(b, 0u), ka.a, kb.a);
    two = add_products(two, subgroupBroadcast(a, 1u), subgroupBroadcast(b, 1u), ka.b, kb.b);
    two = add_products(two, subgroupBroadcast(a, 2u), subgroupBroadcast(b, 2u), ka.c, kb.c);
    two = add_products(two, subgroupBroadcast(a, 3u), subgroupBroadcast(b, 3u), ka.d, kb.d);
    let la = four_pairs(key_a, i + 4u);
    let lb = four_pairs(key_b, i + 4u);
    two = add_products(two, subgroupBroadcast(a, 4u), subgroupBroadcast(b, 4u), la.a, lb.a);
    two = add_products(two, subgroupBroadcast(a, 5u), subgroupBroadcast(b, 5u), la.b, lb.b);
    two = add_products(two, subgroupBroadcast(a, 6u), subgroupBroadcast(b, 6u), la.c, lb.c);
    two = add_products(two, subgroupBroadcast(a, 7u), subgroupBroadcast(b, 7u), la.d, lb.d);
    continuing {
      i += 8u;
      break if i >= PAIRS;
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
  for (var i = 0u; i < PAIRS; i++) {
    let k = min(i, HALF - 1u);
    let k0 = cached(key.x + k);
    let k1 = cached(key.y + k);
    let k2 = cached(key.z + k);
    let k3 = cached(key.w + k);
    scores = add_pair(
      scores,
      pool[first + i],
      pool[first + PAIRS + i],
      vec4f(k0.x, k1.x, k2.x, k3.x),
      vec4f(k0.y, k1.y, k2.y, k3.y),
    );
  }
  return scores;
}

// A thread writes what, until a barrier, it alone looks at.
fn put_scores(quads: u32, positions: Positions, first_fresh: u32, thread: u32) {
  // Of THREADS neighbouring positions each is another thread's, and no more are fresh.
  let fresh = first_fresh + (thread - first_fresh) % THREADS;
  var quad = 0u;
  loop {
    let at = weights_at(quad) + thread;
    for (var first = positions.first; first < positions.end; first += 2u * THREADS) {
      let a = key_at(first + thread);
      let b = key_at(first + thread + THREADS);
      let two = two_scores(quad, a, b, thread);
      pool[at + first % CHUNK] = two.a;
      pool[at + first % CHUNK + THREADS] = two.b;
    }
    if (HAS_FRESH && fresh < positions.end) {
      pool[weights_at(quad) + fresh % CHUNK] = fresh_scores(quad, fresh);
    }
    continuing {
      quad++;
      break if quad == quads;
    }
  }
}
