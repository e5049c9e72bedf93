// How weights meet values on a GPU. A thread has a pair of dimensions; where there are more threads than pairs, several have
// the same pair and share the positions in turns of eight. It asks for sixteen positions' at once if it can.

override TILE: u32; // threads that have a position's pairs: a power of two, at least HALF and no more than THREADS

// What a thread adds up for either quad.
struct Sums {
  a: Values,
  b: Values,
}

struct EightValues {
  v0: vec2f,
  v1: vec2f,
  v2: vec2f,
  v3: vec2f,
  v4: vec2f,
  v5: vec2f,
  v6: vec2f,
  v7: vec2f,
}

// A position's value, or, where it is none that a query sees, some other.
fn value_at(position: u32, i: u32) -> vec2f {
  return cached(values_at(ring_slot_of(nearest_in_ring(position))) + i);
}

// The values of eight positions from p on.
fn eight_values(p: u32, i: u32) -> EightValues {
  return EightValues(
    value_at(p, i),
    value_at(p + 1u, i),
    value_at(p + 2u, i),
    value_at(p + 3u, i),
    value_at(p + 4u, i),
    value_at(p + 5u, i),
    value_at(p + 6u, i),
    value_at(p + 7u, i),
  );
}

fn add_value(sum: Values, at: u32, v: vec2f) -> Values {
  return add_weighted(sum, pool[at], vec4f(v.x), vec4f(v.y));
}

// Adds eight positions from p on that all queries see, and whose values are in the ring.
fn add_eight(quad: u32, before: Values, chunk: u32, p: u32, v: EightValues) -> Values {
  let at = weights_at(quad) + p - chunk * CHUNK;
  var sum = add_value(before, at, v.v0);
  sum = add_value(sum, at + 1u, v.v1);
  sum = add_value(sum, at + 2u, v.v2);
  sum = add_value(sum, at + 3u, v.v3);
  sum = add_value(sum, at + 4u, v.v4);
  sum = add_value(sum, at + 5u, v.v5);
  sum = add_value(sum, at + 6u, v.v6);
  return add_value(sum, at + 7u, v.v7);
}

fn add_eight_of_all(quads: u32, before: Sums, chunk: u32, p: u32, v: EightValues) -> Sums {
  var sums = before;
  sums.a = add_eight(0u, sums.a, chunk, p, v);
  if (has_both(quads)) {
    sums.b = add_eight(1u, sums.b, chunk, p, v);
  }
  return sums;
}

// Adds those of eight positions from p on that are in the ring, for the queries that see them.
fn add_some(quad: u32, before: Values, chunk: u32, p: u32, v: EightValues) -> Values {
  var sum = add_if_seen(quad, before, chunk, p, v.v0);
  sum = add_if_seen(quad, sum, chunk, p + 1u, v.v1);
  sum = add_if_seen(quad, sum, chunk, p + 2u, v.v2);
  sum = add_if_seen(quad, sum, chunk, p + 3u, v.v3);
  sum = add_if_seen(quad, sum, chunk, p + 4u, v.v4);
  sum = add_if_seen(quad, sum, chunk, p + 5u, v.v5);
  sum = add_if_seen(quad, sum, chunk, p + 6u, v.v6);
  return add_if_seen(quad, sum, chunk, p + 7u, v.v7);
}

fn add_if_seen(quad: u32, sum: Values, chunk: u32, position: u32, v: vec2f) -> Values {
  var is_seen = seen(quad, position);
  if (HAS_FRESH) {
    is_seen &= vec4<bool>(position < fresh_from());
  }
  let more = add_value(sum, weights_at(quad) + position - chunk * CHUNK, v);
  return select_values(sum, more, is_seen);
}

fn add_some_of_all(quads: u32, before: Sums, chunk: u32, p: u32, v: EightValues) -> Sums {
  var sums = before;
  sums.a = add_some(0u, sums.a, chunk, p, v);
  if (has_both(quads)) {
    sums.b = add_some(1u, sums.b, chunk, p, v);
  }
  return sums;
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

fn gather(chunk: u32, sight: Positions, quads: u32, thread: u32) {
  let origin = chunk * CHUNK;
  let end = min(origin + CHUNK, sight.end);
  var ring_end = end;
  if (HAS_FRESH) {
    ring_end = min(end, fresh_from());
  }
  let of_all = common_positions(origin, end, quads);
  let parts = THREADS / TILE;
  let part = thread / TILE;
  let step = 8u * parts;
  let own = thread % TILE;
  let i = min(own, HALF - 1u);
  var sums = Sums();
  var p = origin + 8u * part;
  while (p < ring_end) {
    let v = eight_values(p, i);
    if (p >= of_all.first && p + step + 8u <= of_all.end) {
      let w = eight_values(p + step, i);
      sums = add_eight_of_all(quads, sums, chunk, p, v);
      sums = add_eight_of_all(quads, sums, chunk, p + step, w);
      p += 2u * step;
    } else {
      sums = add_some_of_all(quads, sums, chunk, p, v);
      p += step;
    }
  }
  if (HAS_FRESH) {
    sums = add_singles(quads, sums, chunk, max(origin, fresh_from()), end, part, parts, i);
  }
  put_sums(quads, sums, TILE, parts, own, thread);
}
