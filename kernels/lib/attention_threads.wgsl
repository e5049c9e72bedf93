// What the threads of a workgroup have, shared and put together through its memory. (Where they are one vector of a CPU's,
// attention_keys_vector.wgsl does it.)

override FOUND: u32; // at least SCORERS, and the threads that have a position's pairs

var<workgroup> quads_at_work: array<Quad, 2>; // here and not in registers, of which they would take 32

fn keep_quad(quad: u32, queries: Quad, thread: u32) {
  if (thread == 0u) {
    quads_at_work[quad] = queries;
  }
}

// What threads find, two vectors each, and put together. (In two arrays fewer threads would be in each other's way, but in
// ptxas's code attention needs 155 registers then, and not 128.)
var<workgroup> found: array<array<vec4f, 2>, FOUND>;

// The largest of the scorers' values; of a workgroup's quads.
fn max_of_threads(value: array<vec4f, 2>, thread: u32) -> array<vec4f, 2> {
  if (thread < SCORERS) {
    found[thread] = value;
  }
  for (var stride = SCORERS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      let other = found[thread + stride];
      found[thread][0] = max(found[thread][0], other[0]);
      found[thread][1] = max(found[thread][1], other[1]);
    }
  }
  workgroupBarrier();
  let result = found[0];
  workgroupBarrier();
  return result;
}

// Their sum.
fn sum_of_threads(value: array<vec4f, 2>, thread: u32) -> array<vec4f, 2> {
  if (thread < SCORERS) {
    found[thread] = value;
  }
  for (var stride = SCORERS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      let other = found[thread + stride];
      found[thread][0] += other[0];
      found[thread][1] += other[1];
    }
  }
  workgroupBarrier();
  let result = found[0];
  workgroupBarrier();
  return result;
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
