// The thresholds of the sampled choice: the largest score that keeps as many tokens as top-k wants, or as much
// probability as top-p wants, found without a sort.
//
// A first sweep over the vocabulary counts, or weighs, the tokens in bins by how far they are below the likeliest; a second
// lists those that the threshold may be among, and those above. They are few as a rule, so all that follows looks at the
// list; else it sweeps. Sums are integers, so that they do not depend on the order in which threads add.
//
// sample.wgsl supplies
//   places() -> u32,  how many places a sweep looks at: those of the list, or the whole vocabulary; and
//   keys_at(row, first) -> vec4u,  the keys of four of them.

const BINS = 256u;        // no more than there are threads
const COARSE = 32u;       // in place of a shift: bins by distance from the likeliest
const BINS_A_LOGIT = 8.0; // those that are coarse
const LISTED = 1024u;     // tokens on the list at most

var<workgroup> list: array<vec2u, LISTED>; // keys and tokens, in any order
var<workgroup> listed: u32; // tokens on the list; 0: the whole vocabulary is looked at
var<workgroup> appended: atomic<u32>; // tokens that the list should have had room for
var<workgroup> bins: array<array<atomic<u32>, 2>, BINS>; // amounts of 64 bits, the low word first
var<workgroup> sums: array<vec2u, BINS>; // of a bin and all above
var<workgroup> picked: vec3u; // a bin, and what is wanted of it

// An integer that orders as the floats do; both zeros are one.
fn key(v: f32) -> u32 {
  let bits = select(bitcast<u32>(v), 0u, v == 0.0);
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// The float of a key.
fn value(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
}

// The largest threshold that keeps as many tokens as top-k wants, or as much e^(score - top) as top-p wants, of what
// is at or above `floor`. Of equal scores all are kept or none.
fn cut(row: u32, floor: u32, weigh: bool, top: f32, thread: u32) -> u32 {
  var wanted = vec2u(options.top_k, 0u);
  var is_first = true;
  var between = vec2u(floor, key(top)); // the threshold is one of these keys
  var shift = select(spread(between), COARSE, workgroupUniformLoad(&listed) == 0u);
  loop {
    tally(row, between, shift, weigh, top, thread);
    if (weigh && is_first) {
      wanted = share(sums[0]);
    }
    is_first = false;
    let next = pick(wanted, thread);
    if (shift == COARSE) {
      between.x = max(floor, key(edge(next.x, top)));
    } else {
      between.x += next.x << shift;
      between.y = min(between.y, between.x + ((1u << shift) - 1u));
      wanted = next.yz;
    }
    if (between.x >= between.y) {
      break;
    }
    shift = spread(between);
  }
  return between.x;
}

// The shift that spreads a range of keys over the bins.
fn spread(between: vec2u) -> u32 {
  return max(32u - countLeadingZeros(between.y - between.x), 8u) - 8u;
}

// The bin of a key: by how far its score is below the top, or its place above the key `first`.
fn bin_of(key: u32, first: u32, shift: u32, top: f32) -> u32 {
  if (shift == COARSE) {
    let distance = (top - value(key)) * options.temperature * BINS_A_LOGIT;
    return BINS - 1u - min(u32(distance), BINS - 1u);
  }
  return (key - first) >> shift;
}

// A score that is below all of a coarse bin, by a hundredth of it and more than what rounding does.
fn edge(bin: u32, top: f32) -> f32 {
  let distance = (f32(BINS - bin) + 0.01) / (options.temperature * BINS_A_LOGIT);
  return select(top - distance - abs(top) * 0x1p-20, LOWEST, bin == 0u);
}

// Leaves in `sums` how much the keys of a range are from each bin on. Makes the list of what is in the range and above,
// if there is none and they are few enough.
fn tally(row: u32, between: vec2u, shift: u32, weigh: bool, top: f32, thread: u32) {
  if (thread < BINS) {
    atomicStore(&bins[thread][0], 0u);
    atomicStore(&bins[thread][1], 0u);
  }
  if (thread == 0u) {
    atomicStore(&appended, 0u);
  }
  workgroupBarrier();
  let is_listing = listed == 0u && shift != COARSE;
  var end = select(LISTED, 0u, is_listing); // beyond the list there is no use in appending more
  var at = thread;
  loop {
    let keys = keys_at(row, at);
    for (var i = 0u; i < 4u; i++) {
      let key = keys[i];
      if (key >= between.x) {
        if (key <= between.y) {
          var amount = vec2u(1u, 0u);
          if (weigh) {
            amount = weight(key, top);
          }
          add(bin_of(key, between.x, shift, top), amount);
        }
        if (end < LISTED) {
          end = atomicAdd(&appended, 1u);
          if (end < LISTED) {
            list[end] = vec2u(key, at + i * SAMPLERS);
          }
        }
      }
    }
    at += 4u * SAMPLERS;
    if (at >= places()) {
      break;
    }
  }
  workgroupBarrier();
  if (thread == 0u && is_listing && atomicLoad(&appended) <= LISTED) {
    listed = atomicLoad(&appended);
  }
  var sum = vec2u();
  if (thread < BINS) {
    sum = vec2u(atomicLoad(&bins[thread][0]), atomicLoad(&bins[thread][1]));
  }
  for (var step = 1u; step < BINS; step *= 4u) {
    if (thread < BINS) {
      sums[thread] = sum;
    }
    workgroupBarrier();
    for (var other = thread + step; other < min(thread + 4u * step, BINS); other += step) {
      sum = plus(sum, sums[other]);
    }
    workgroupBarrier();
  }
  if (thread < BINS) {
    sums[thread] = sum;
  }
  workgroupBarrier();
}

// e^(score - top), rounded down to a multiple of 2^-42: 2^21 tokens add up without overflow.
fn weight(key: u32, top: f32) -> vec2u {
  return fixed(exp(value(key) - top) * 1024.0);
}

// A float, in units of 2^-32.
fn fixed(v: f32) -> vec2u {
  let whole = floor(v);
  return vec2u(u32((v - whole) * 0x1p32), u32(whole));
}

// The share top-p of what there is, but something.
fn share(all: vec2u) -> vec2u {
  return max(fixed(options.top_p * (f32(all.y) + f32(all.x) * 0x1p-32)), vec2u(1u, 0u));
}

fn add(bin: u32, amount: vec2u) {
  var high = amount.y;
  if (amount.x > 0u) {
    // The low word overflows as often whatever the order.
    let before = atomicAdd(&bins[bin][0], amount.x);
    high += u32(before + amount.x < before);
  }
  if (high > 0u) {
    atomicAdd(&bins[bin][1], high);
  }
}

fn plus(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + u32(low < a.x));
}

fn minus(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

fn is_less(a: vec2u, b: vec2u) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

// The highest bin from which on there is as much as wanted, or all there is, and how much of that it has to give.
fn pick(wanted: vec2u, thread: u32) -> vec3u {
  var goal = wanted;
  if (is_less(sums[0], goal)) {
    goal = sums[0];
  }
  var above = vec2u();
  if (thread + 1u < BINS) {
    above = sums[thread + 1u];
  }
  if (thread < BINS && is_less(above, goal) && !is_less(sums[thread], goal)) {
    picked = vec3u(thread, minus(goal, above));
  }
  return workgroupUniformLoad(&picked);
}
