// The sums of a chunk's values, weighted: what all ways of reading values have in common.
//
// The stage's way of reading values supplies
//   gather(chunk, sight, quads, thread),  which hands every pair's Σ weight · value over the chunk to put().

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
