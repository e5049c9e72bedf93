// The sums of a chunk's values, weighted.

struct Values {
  first: vec4f,  // dimension i of the four queries
  second: vec4f, // dimension i + HALF
}

fn add_value(w: vec4f, at: u32, sum: Values) -> Values {
  let v = cached(at);
  return Values(fma(w, vec4f(v.x), sum.first), fma(w, vec4f(v.y), sum.second));
}

// Adds eight positions from p on that all queries see, and whose values are in the ring, for a quad.
fn add_eight(quad: u32, before: Values, chunk: u32, p: u32, i: u32, thread: u32) -> Values {
  let at = weights_at(quad) + p - chunk * CHUNK;
  let w = hold(at, thread);
  var sum = add_value(take0(w, at), values_at(ring_slot_of(p)) + i, before);
  sum = add_value(take1(w, at), values_at(ring_slot_of(p + 1u)) + i, sum);
  sum = add_value(take2(w, at), values_at(ring_slot_of(p + 2u)) + i, sum);
  sum = add_value(take3(w, at), values_at(ring_slot_of(p + 3u)) + i, sum);
  sum = add_value(take4(w, at), values_at(ring_slot_of(p + 4u)) + i, sum);
  sum = add_value(take5(w, at), values_at(ring_slot_of(p + 5u)) + i, sum);
  sum = add_value(take6(w, at), values_at(ring_slot_of(p + 6u)) + i, sum);
  return add_value(take7(w, at), values_at(ring_slot_of(p + 7u)) + i, sum);
}

// What is added up for either quad.
struct Sums {
  a: Values,
  b: Values,
}

fn add_value_to_both(wa: vec4f, wb: vec4f, at: u32, sums: Sums) -> Sums {
  let v = cached(at);
  return Sums(
    Values(fma(wa, vec4f(v.x), sums.a.first), fma(wa, vec4f(v.y), sums.a.second)),
    Values(fma(wb, vec4f(v.x), sums.b.first), fma(wb, vec4f(v.y), sums.b.second)),
  );
}

// The same for both quads.
fn add_eight_to_both(before: Sums, chunk: u32, p: u32, i: u32, thread: u32) -> Sums {
  let at = weights_at(0u) + p - chunk * CHUNK;
  let bt = weights_at(1u) + p - chunk * CHUNK;
  let a = hold(at, thread);
  let b = hold(bt, thread);
  var sums = add_value_to_both(take0(a, at), take0(b, bt), values_at(ring_slot_of(p)) + i, before);
  sums = add_value_to_both(take1(a, at), take1(b, bt), values_at(ring_slot_of(p + 1u)) + i, sums);
  sums = add_value_to_both(take2(a, at), take2(b, bt), values_at(ring_slot_of(p + 2u)) + i, sums);
  sums = add_value_to_both(take3(a, at), take3(b, bt), values_at(ring_slot_of(p + 3u)) + i, sums);
  sums = add_value_to_both(take4(a, at), take4(b, bt), values_at(ring_slot_of(p + 4u)) + i, sums);
  sums = add_value_to_both(take5(a, at), take5(b, bt), values_at(ring_slot_of(p + 5u)) + i, sums);
  sums = add_value_to_both(take6(a, at), take6(b, bt), values_at(ring_slot_of(p + 6u)) + i, sums);
  return add_value_to_both(take7(a, at), take7(b, bt), values_at(ring_slot_of(p + 7u)) + i, sums);
}

// Adds positions one by one, for those queries that see them, each with the value it sees there; of every `parts`
// times eight, those of one part.
fn add_singles(quads: u32, before: Sums, chunk: u32, first: u32, end: u32, part: u32, parts: u32, i: u32) -> Sums {
  var sums = before;
  for (var position = first; position < end; position++) {
    if (position / 8u % parts == part) {
      sums.a = add_single(0u, quad0, sums.a, chunk, position, i);
      if (has_both(quads)) {
        sums.b = add_single(1u, quad1, sums.b, chunk, position, i);
      }
    }
  }
  return sums;
}

fn add_single(quad: u32, queries: Quad, sum: Values, chunk: u32, position: u32, i: u32) -> Values {
  var slot = vec4u(ring_slot_of(position));
  if (HAS_FRESH && position >= fresh_from()) {
    slot = fresh_slots(quad, position);
  }
  let at = ((slot * 2u + 1u) * KV_HEADS + kv_head) * HALF + i;
  let is_seen = seen(queries, position);
  let v0 = cached(at.x);
  let v1 = cached(at.y);
  let v2 = cached(at.z);
  let v3 = cached(at.w);
  let w = pool[weights_at(quad) + position - chunk * CHUNK];
  return Values(
    select(sum.first, fma(w, vec4f(v0.x, v1.x, v2.x, v3.x), sum.first), is_seen),
    select(sum.second, fma(w, vec4f(v0.y, v1.y, v2.y, v3.y), sum.second), is_seen),
  );
}

// Σ weight · value over the chunk for every pair of dimensions, each handed to put(). A thread has a pair; where there
// are more threads than pairs, several share the positions, eight in turns, and the first adds up what they found.
fn gather(chunk: u32, quads: u32, thread: u32) {
  let first = max(chunk * CHUNK, lowest);
  let end = min(chunk * CHUNK + CHUNK, highest);
  // The eights that all see, and that are in the ring.
  var common_first = most(quad0.first);
  var common_end = least(quad0.end);
  if (HAS_FRESH) {
    common_end = min(common_end, fresh_from());
  }
  if (has_both(quads)) {
    common_first = max(common_first, most(quad1.first));
    common_end = min(common_end, least(quad1.end));
  }
  common_first = (max(common_first, first) + 7u) / 8u * 8u;
  common_end = max(min(common_end, end) / 8u * 8u, common_first);
  let tile = min(HALF8, THREADS);
  let parts = THREADS / tile;
  let part = thread / tile; // threads past the last part do something for nothing
  let step = 8u * parts;
  for (var start = 0u; start < HALF; start += tile) {
    let own = start + thread % tile;
    let i = min(own, HALF - 1u);
    var sums = Sums();
    if (WINDOW != 0xffffffffu) { // without a window all see the past from its beginning
      sums = add_singles(quads, sums, chunk, first, min(common_first, end), part, parts, i);
    }
    // This part's first eight at or after common_first.
    let skipped = (part + parts - common_first / 8u % parts) % parts;
    for (var eight = common_first + 8u * skipped; eight < common_end; eight += step) {
      if (has_both(quads)) {
        sums = add_eight_to_both(sums, chunk, eight, i, thread);
      } else {
        sums.a = add_eight(0u, sums.a, chunk, eight, i, thread);
      }
    }
    sums = add_singles(quads, sums, chunk, max(common_end, first), end, part, parts, i);
    found[thread] = array(sums.a, sums.b);
    workgroupBarrier();
    if (thread < tile && own < HALF) {
      for (var other = 1u; other < parts; other++) {
        let more = found[other * tile + thread];
        sums.a = Values(sums.a.first + more[0].first, sums.a.second + more[0].second);
        sums.b = Values(sums.b.first + more[1].first, sums.b.second + more[1].second);
      }
      put(0u, quad0, own, sums.a);
      if (has_both(quads)) {
        put(1u, quad1, own, sums.b);
      }
    }
    workgroupBarrier();
  }
}
