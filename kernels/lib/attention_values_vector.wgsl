// How weights meet values where subgroups are a CPU's vector registers: see attention_keys_vector.wgsl. A thread has
// four neighbouring pairs of dimensions, so that it loads 16 bytes of a position's value at once.

// Sums of four neighbouring pairs.
struct FourSums {
  a: Values,
  b: Values,
  c: Values,
  d: Values,
}

// What a thread adds up for either quad.
struct Sums {
  a: FourSums,
  b: FourSums,
}

// Four neighbouring pairs, from i on, of a position's value.
fn value_at(position: u32, i: u32) -> FourPairs {
  return four_pairs(values_at(ring_slot_of(position)), i);
}

fn add_pair_of_all(sum: Values, w: vec4f, v: vec2f) -> Values {
  return add_weighted(sum, w, vec4f(v.x), vec4f(v.y));
}

// Adds a value that is the same to all queries.
fn add_value(sums: FourSums, w: vec4f, v: FourPairs) -> FourSums {
  return FourSums(
    add_pair_of_all(sums.a, w, v.a),
    add_pair_of_all(sums.b, w, v.b),
    add_pair_of_all(sums.c, w, v.c),
    add_pair_of_all(sums.d, w, v.d),
  );
}

fn add_pair_of_each(sum: Values, w: vec4f, a: vec2f, b: vec2f, c: vec2f, d: vec2f) -> Values {
  return add_weighted(sum, w, vec4f(a.x, b.x, c.x, d.x), vec4f(a.y, b.y, c.y, d.y));
}

// Adds each query's own value.
fn add_values(sums: FourSums, w: vec4f, a: FourPairs, b: FourPairs, c: FourPairs, d: FourPairs) -> FourSums {
  return FourSums(
    add_pair_of_each(sums.a, w, a.a, b.a, c.a, d.a),
    add_pair_of_each(sums.b, w, a.b, b.b, c.b, d.b),
    add_pair_of_each(sums.c, w, a.c, b.c, c.c, d.c),
    add_pair_of_each(sums.d, w, a.d, b.d, c.d, d.d),
  );
}

fn select_sums(otherwise: FourSums, sums: FourSums, chosen: vec4<bool>) -> FourSums {
  return FourSums(
    select_values(otherwise.a, sums.a, chosen),
    select_values(otherwise.b, sums.b, chosen),
    select_values(otherwise.c, sums.c, chosen),
    select_values(otherwise.d, sums.d, chosen),
  );
}

// Adds eight positions from p on that all queries see, and whose values are in the ring, for a quad.
fn add_eight(quad: u32, before: FourSums, chunk: u32, p: u32, i: u32, thread: u32) -> FourSums {
  let at = weights_at(quad) + p - chunk * CHUNK;
  let w = hold(at, at + 4u, thread);
  var sums = add_value(before, subgroupBroadcast(w.lower, 0u), value_at(p, i));
  sums = add_value(sums, subgroupBroadcast(w.lower, 1u), value_at(p + 1u, i));
  sums = add_value(sums, subgroupBroadcast(w.lower, 2u), value_at(p + 2u, i));
  sums = add_value(sums, subgroupBroadcast(w.lower, 3u), value_at(p + 3u, i));
  sums = add_value(sums, subgroupBroadcast(w.upper, UPPER + 0u), value_at(p + 4u, i));
  sums = add_value(sums, subgroupBroadcast(w.upper, UPPER + 1u), value_at(p + 5u, i));
  sums = add_value(sums, subgroupBroadcast(w.upper, UPPER + 2u), value_at(p + 6u, i));
  return add_value(sums, subgroupBroadcast(w.upper, UPPER + 3u), value_at(p + 7u, i));
}

fn add_to_both(sums: Sums, wa: vec4f, wb: vec4f, v: FourPairs) -> Sums {
  return Sums(add_value(sums.a, wa, v), add_value(sums.b, wb, v));
}

// Adds four such positions for both quads: lane n has the first quad's weights for p + n, lane 4 + n the second's.
fn add_four_to_both(before: Sums, chunk: u32, p: u32, i: u32, thread: u32) -> Sums {
  let at = p - chunk * CHUNK;
  let w = hold(weights_at(0u) + at, weights_at(1u) + at, thread);
  var sums = add_to_both(before, subgroupBroadcast(w.lower, 0u), subgroupBroadcast(w.upper, UPPER + 0u), value_at(p, i));
  sums = add_to_both(sums, subgroupBroadcast(w.lower, 1u), subgroupBroadcast(w.upper, UPPER + 1u), value_at(p + 1u, i));
  sums = add_to_both(sums, subgroupBroadcast(w.lower, 2u), subgroupBroadcast(w.upper, UPPER + 2u), value_at(p + 2u, i));
  return add_to_both(sums, subgroupBroadcast(w.lower, 3u), subgroupBroadcast(w.upper, UPPER + 3u), value_at(p + 3u, i));
}

// Adds positions of the ring one by one, for those queries that see them.
fn add_committed(quad: u32, before: FourSums, chunk: u32, first: u32, end: u32, i: u32) -> FourSums {
  var sums = before;
  for (var p = first; p < end; p++) {
    let more = add_value(sums, pool[weights_at(quad) + p - chunk * CHUNK], value_at(p, i));
    sums = select_sums(sums, more, seen(quad, p));
  }
  return sums;
}

// Adds fresh positions, for those queries that see them, each with the value it sees there.
fn add_fresh(quad: u32, before: FourSums, chunk: u32, first: u32, end: u32, i: u32) -> FourSums {
  var sums = before;
  for (var p = first; p < end; p++) {
    let at = ((fresh_slots(quad, p) * 2u + 1u) * KV_HEADS + kv_head) * HALF;
    let w = pool[weights_at(quad) + p - chunk * CHUNK];
    let more = add_values(
      sums,
      w,
      four_pairs(at.x, i),
      four_pairs(at.y, i),
      four_pairs(at.z, i),
      four_pairs(at.w, i),
    );
    sums = select_sums(sums, more, seen(quad, p));
  }
  return sums;
}

// Adds positions that are not among the eights that all queries see.
fn add_singles(quad: u32, sums: FourSums, chunk: u32, first: u32, end: u32, i: u32) -> FourSums {
  if (!HAS_FRESH) {
    return add_committed(quad, sums, chunk, first, end, i);
  }
  let more = add_committed(quad, sums, chunk, first, min(end, fresh_from()), i);
  return add_fresh(quad, more, chunk, max(first, fresh_from()), end, i);
}

// One of four neighbouring pairs' sums.
fn pair_sums(sums: FourSums, n: u32) -> Values {
  let lower = select_values(sums.a, sums.b, vec4<bool>(n == 1u));
  let upper = select_values(sums.c, sums.d, vec4<bool>(n == 3u));
  return select_values(lower, upper, vec4<bool>(n >= 2u));
}

fn put_sums(quads: u32, i: u32, sums: Sums) {
  let end = min(i + 4u, HALF);
  for (var quad = 0u; quad < quads; quad++) {
    for (var pair = i; pair < end; pair++) {
      let of_pair = pair_sums(sums.a, pair - i);
      put(quad, pair, select_values(of_pair, pair_sums(sums.b, pair - i), vec4<bool>(quad == 1u)));
    }
  }
}

fn gather(chunk: u32, sight: Positions, quads: u32, thread: u32) {
  let first = max(chunk * CHUNK, sight.first);
  let end = min(chunk * CHUNK + CHUNK, sight.end);
  let of_all = common_positions(first, end, quads);
  // The eights that all see, and that are in the ring.
  let common_first = (of_all.first + 7u) / 8u * 8u;
  let common_end = max(of_all.end / 8u * 8u, common_first);
  let before = min(common_first, end);
  let after = max(common_end, first);
  for (var start = 0u; start < HALF; start += 4u * THREADS) {
    let i = start + 4u * thread;
    var sums = Sums();
    if (WINDOW != 0xffffffffu) { // without a window all see the past from its beginning
      sums.a = add_singles(0u, sums.a, chunk, first, before, i);
      if (has_both(quads)) {
        sums.b = add_singles(1u, sums.b, chunk, first, before, i);
      }
    }
    if (has_both(quads)) {
      for (var p = common_first; p < common_end; p += 4u) {
        sums = add_four_to_both(sums, chunk, p, i, thread);
      }
    } else {
      for (var p = common_first; p < common_end; p += 8u) {
        sums.a = add_eight(0u, sums.a, chunk, p, i, thread);
      }
    }
    sums.a = add_singles(0u, sums.a, chunk, after, end, i);
    if (has_both(quads)) {
      sums.b = add_singles(1u, sums.b, chunk, after, end, i);
    }
    put_sums(quads, i, sums);
  }
  workgroupBarrier(); // the pool has been read
}
