// How weights meet values where subgroups are a CPU's vector registers of 8: see attention_keys_vector.wgsl.

fn add_value(w: vec4f, at: u32, sum: Values) -> Values {
  let v = cached(at);
  return add_weighted(sum, w, vec4f(v.x), vec4f(v.y));
}

// Adds eight positions from p on that all queries see, and whose values are in the ring, for a quad.
fn add_eight(quad: u32, before: Values, chunk: u32, p: u32, i: u32, thread: u32) -> Values {
  let at = weights_at(quad) + p - chunk * CHUNK;
  let w = hold(at, thread);
  var sum = add_value(subgroupBroadcast(w, 0u), values_at(ring_slot_of(p)) + i, before);
  sum = add_value(subgroupBroadcast(w, 1u), values_at(ring_slot_of(p + 1u)) + i, sum);
  sum = add_value(subgroupBroadcast(w, 2u), values_at(ring_slot_of(p + 2u)) + i, sum);
  sum = add_value(subgroupBroadcast(w, 3u), values_at(ring_slot_of(p + 3u)) + i, sum);
  sum = add_value(subgroupBroadcast(w, 4u), values_at(ring_slot_of(p + 4u)) + i, sum);
  sum = add_value(subgroupBroadcast(w, 5u), values_at(ring_slot_of(p + 5u)) + i, sum);
  sum = add_value(subgroupBroadcast(w, 6u), values_at(ring_slot_of(p + 6u)) + i, sum);
  return add_value(subgroupBroadcast(w, 7u), values_at(ring_slot_of(p + 7u)) + i, sum);
}

// The same for both quads.
fn add_value_to_both(wa: vec4f, wb: vec4f, at: u32, sums: Sums) -> Sums {
  let v = cached(at);
  return Sums(
    add_weighted(sums.a, wa, vec4f(v.x), vec4f(v.y)),
    add_weighted(sums.b, wb, vec4f(v.x), vec4f(v.y)),
  );
}

fn add_eight_to_both(before: Sums, chunk: u32, p: u32, i: u32, thread: u32) -> Sums {
  let at = weights_at(0u) + p - chunk * CHUNK;
  let bt = weights_at(1u) + p - chunk * CHUNK;
  let a = hold(at, thread);
  let b = hold(bt, thread);
  var sums = add_value_to_both(subgroupBroadcast(a, 0u), subgroupBroadcast(b, 0u), values_at(ring_slot_of(p)) + i, before);
  sums = add_value_to_both(subgroupBroadcast(a, 1u), subgroupBroadcast(b, 1u), values_at(ring_slot_of(p + 1u)) + i, sums);
  sums = add_value_to_both(subgroupBroadcast(a, 2u), subgroupBroadcast(b, 2u), values_at(ring_slot_of(p + 2u)) + i, sums);
  sums = add_value_to_both(subgroupBroadcast(a, 3u), subgroupBroadcast(b, 3u), values_at(ring_slot_of(p + 3u)) + i, sums);
  sums = add_value_to_both(subgroupBroadcast(a, 4u), subgroupBroadcast(b, 4u), values_at(ring_slot_of(p + 4u)) + i, sums);
  sums = add_value_to_both(subgroupBroadcast(a, 5u), subgroupBroadcast(b, 5u), values_at(ring_slot_of(p + 5u)) + i, sums);
  sums = add_value_to_both(subgroupBroadcast(a, 6u), subgroupBroadcast(b, 6u), values_at(ring_slot_of(p + 6u)) + i, sums);
  return add_value_to_both(subgroupBroadcast(a, 7u), subgroupBroadcast(b, 7u), values_at(ring_slot_of(p + 7u)) + i, sums);
}

// Σ weight · value over the chunk for every pair of dimensions, each handed to put(). A thread has a pair; where there
// are more threads than pairs, several share the positions, eight in turns.
fn gather(chunk: u32, sight: Positions, quads: u32, thread: u32) {
  let first = max(chunk * CHUNK, sight.first);
  let end = min(chunk * CHUNK + CHUNK, sight.end);
  let of_all = common_positions(first, end, quads);
  // The eights that all see, and that are in the ring.
  let common_first = (of_all.first + 7u) / 8u * 8u;
  let common_end = max(of_all.end / 8u * 8u, common_first);
  let tile = min(PAIRS, THREADS);
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
    put_sums(quads, sums, tile, parts, own, thread);
  }
}
