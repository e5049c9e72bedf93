// The sums of a chunk's values, weighted. A thread has a pair of dimensions; where there are more threads than pairs,
// several have the same pair and share the positions in turns of eight.
//
// The stage's way of reading values supplies
//   gather(chunk, sight, quads, thread),  which hands every pair's Σ weight · value over the chunk to put().

// What a thread adds up for either quad.
struct Sums {
  a: Values,
  b: Values,
}

// Of the positions from `first` to `end`, those that all queries see, and that are in the ring.
fn common_positions(first: u32, end: u32, quads: u32) -> Positions {
  var of_all = Positions(max(first, most(quads_at_work[0].first)), min(end, least(quads_at_work[0].end)));
  if (HAS_FRESH) {
    of_all.end = min(of_all.end, fresh_from());
  }
  if (has_both(quads)) {
    of_all.first = max(of_all.first, most(quads_at_work[1].first));
    of_all.end = min(of_all.end, least(quads_at_work[1].end));
  }
  return of_all;
}

// Adds a position's pair of dimensions, weighted; of values that are the same to all queries or not.
fn add_weighted(sum: Values, w: vec4f, first: vec4f, second: vec4f) -> Values {
  return Values(fma(w, first, sum.first), fma(w, second, sum.second));
}

fn select_values(otherwise: Values, values: Values, chosen: vec4<bool>) -> Values {
  return Values(
    select(otherwise.first, values.first, chosen),
    select(otherwise.second, values.second, chosen),
  );
}

// Adds a position for those queries that see it, each with the value it sees there.
fn add_single(quad: u32, sum: Values, chunk: u32, position: u32, i: u32) -> Values {
  var slot = vec4u(ring_slot_of(position));
  if (HAS_FRESH && position >= fresh_from()) {
    slot = fresh_slots(quad, position);
  }
  let at = ((slot * 2u + 1u) * KV_HEADS + kv_head) * HALF + i;
  let is_seen = seen(quad, position);
  let v0 = cached(at.x);
  let v1 = cached(at.y);
  let v2 = cached(at.z);
  let v3 = cached(at.w);
  let w = pool[weights_at(quad) + position - chunk * CHUNK];
  let more = add_weighted(sum, w, vec4f(v0.x, v1.x, v2.x, v3.x), vec4f(v0.y, v1.y, v2.y, v3.y));
  return select_values(sum, more, is_seen);
}

// Adds positions one by one, for those queries that see them, each with the value it sees there; of every `parts`
// times eight, those of one part.
fn add_singles(quads: u32, before: Sums, chunk: u32, first: u32, end: u32, part: u32, parts: u32, i: u32) -> Sums {
  var sums = before;
  for (var position = first; position < end; position++) {
    if (position / 8u % parts == part) {
      sums.a = add_single(0u, sums.a, chunk, position, i);
      if (has_both(quads)) {
        sums.b = add_single(1u, sums.b, chunk, position, i);
      }
    }
  }
  return sums;
}

// Adds up what `parts` threads, `tile` threads apart, have of a pair, in their order; the first gets it.
fn join_parts(sum: Values, tile: u32, parts: u32, thread: u32) -> Values {
  var joined = sum;
  for (var part = 1u; part < parts; part++) {
    workgroupBarrier();
    if (thread / tile == part) {
      found[thread % tile] = array(sum.first, sum.second);
    }
    workgroupBarrier();
    if (thread < tile) {
      joined = Values(joined.first + found[thread][0], joined.second + found[thread][1]);
    }
  }
  return joined;
}

fn put_sums(quads: u32, sums: Sums, tile: u32, parts: u32, pair: u32, thread: u32) {
  let is_first = thread < tile && pair < HALF;
  let a = join_parts(sums.a, tile, parts, thread);
  if (is_first) {
    put(0u, pair, a);
  }
  if (has_both(quads)) {
    let b = join_parts(sums.b, tile, parts, thread);
    if (is_first) {
      put(1u, pair, b);
    }
  }
  workgroupBarrier(); // the pool and what was found have been read
}
