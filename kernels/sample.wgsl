// The sampled choice: repetition penalty, temperature, top-k, top-p and min-p, in that order (that of Hugging
// Face transformers), then one draw. A workgroup takes a row at a time.
//
// A draw is the argmax of logit / temperature + Gumbel noise, which is a sample of the softmax (Gumbel 1954).
// The noise is a function of the seed, the token's absolute position and the token alone. It does not depend
// on drafts, so sampled text is the same with and without lookup, and a draft is accepted when it equals
// the draw.
//
// Top-k and top-p are each a threshold, found without a sort. A first sweep over the vocabulary counts, or weighs,
// the tokens in bins by how far they are below the likeliest; a second lists those that the threshold may be among,
// and those above. They are few as a rule, so all that follows looks at the list; else it sweeps. Sums are
// integers, so that they do not depend on the order in which threads add.
//
// Where lanes are a CPU's vectors, all code is gone through, taken or not, and a loop's head once more than its body:
// so what is long stands once, and loops end at their end.

override VOCAB: u32;
override SLICES: u32; // slices of the vocabulary in `best`; a draw fills them all

const THREADS = 256u;
const BINS = THREADS;
const COARSE = 32u;       // in place of a shift: bins by distance from the likeliest
const BINS_A_LOGIT = 8.0; // those that are coarse
const LISTED = 1024u;     // tokens on the list at most
const LEAST = 1u;         // below the key of every score

struct Options {
  seed: u32,
  temperature: f32, // 0: no noise, the largest logit wins
  top_k: u32,       // 0: off
  top_p: f32,       // 1: off
  min_p: f32,       // 0: off
  penalty: f32,     // 1: off (Keskar et al. 2019)
}

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [MAX_ROWS][VOCAB]
@group(0) @binding(2) var<storage, read_write> best: array<Best>; // [MAX_ROWS][SLICES]
@group(0) @binding(3) var<storage, read> seen: array<u32>; // a bit for each token that stands in the text up to row 0
@group(0) @binding(4) var<uniform> options: Options;

var<workgroup> path: array<u32, MAX_ROWS>; // tokens of this row and its ancestors, without row 0
var<workgroup> path_length: u32;
var<workgroup> list: array<vec2u, LISTED>; // keys and tokens, in any order
var<workgroup> listed: u32; // tokens on the list; 0: the whole vocabulary is looked at
var<workgroup> appended: atomic<u32>; // tokens that the list should have had room for
var<workgroup> bins: array<array<atomic<u32>, 2>, BINS>; // amounts of 64 bits, the low word first
var<workgroup> sums: array<vec2u, BINS>; // of a bin and all above
var<workgroup> picked: vec3u; // a bin, and what is wanted of it
var<workgroup> found: array<Best, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  for (var row = workgroup.x; row < rows.count; row += workgroups.x) {
    sample(row, thread);
  }
}

fn sample(row: u32, thread: u32) {
  if (thread == 0u) {
    var n = 0u;
    for (var r = row; r != 0u; r = rows.parent[r]) {
      path[n] = rows.token[r];
      n++;
    }
    path_length = n;
    listed = 0u;
  }
  workgroupBarrier();

  let is_drawn = options.temperature > 0.0;
  let is_top_k = options.top_k > 0u && options.top_k < VOCAB;
  let is_top_p = options.top_p < 1.0;
  var likeliest = Best(LOWEST, VOCAB - 1u);
  var threshold = LEAST;
  if (is_drawn && (is_top_k || is_top_p || options.min_p > 0.0)) {
    likeliest = largest(row, LEAST, false, thread);
    let top = likeliest.logit;
    if (is_top_k || is_top_p) {
      var weigh = !is_top_k;
      loop {
        threshold = cut(row, threshold, weigh, top, thread);
        if (weigh || !is_top_p) {
          break;
        }
        weigh = true;
      }
    }
    if (options.min_p > 0.0) {
      threshold = max(threshold, key(top + log(options.min_p)));
    }
  }
  var drawn = largest(row, threshold, is_drawn, thread);
  // Were a score a bit less here than where the threshold was found, none might reach it.
  if (drawn.logit == LOWEST) {
    drawn = likeliest;
  }
  for (var slice = thread; slice < SLICES; slice += THREADS) {
    best[row * SLICES + slice] = drawn;
  }
}

// How many places a sweep looks at.
fn places() -> u32 {
  return select(VOCAB, listed, listed > 0u);
}

// The keys of four places, `THREADS` apart so that their loads overlap; 0 for what is no place or no number.
fn keys_at(row: u32, first: u32) -> vec4u {
  let at = first + THREADS * vec4u(0u, 1u, 2u, 3u);
  var keys: vec4u;
  if (listed > 0u) {
    let i = min(at, vec4u(LISTED - 1u));
    keys = vec4u(list[i.x].x, list[i.y].x, list[i.z].x, list[i.w].x);
  } else {
    let i = min(at, vec4u(VOCAB - 1u));
    let all = row * VOCAB;
    let raw = vec4f(logits[all + i.x], logits[all + i.y], logits[all + i.z], logits[all + i.w]);
    let s = scores(raw, i);
    keys = select(vec4u(), vec4u(key(s.x), key(s.y), key(s.z), key(s.w)), s > vec4f(LOWEST));
  }
  return select(vec4u(), keys, at < vec4u(places()));
}

fn token_at(at: u32) -> u32 {
  if (listed > 0u) {
    return list[at].y;
  }
  return at;
}

// Logits after repetition penalty and temperature.
fn scores(raw: vec4f, tokens: vec4u) -> vec4f {
  var s = raw;
  if (options.penalty != 1.0) {
    s = select(s, select(s * options.penalty, s / options.penalty, s > vec4f()), are_seen(tokens));
  }
  if (options.temperature > 0.0) {
    s /= options.temperature;
  }
  return s;
}

// Which stand in the text or among this row and its ancestors.
fn are_seen(tokens: vec4u) -> vec4<bool> {
  let i = tokens / 32u;
  let words = vec4u(seen[i.x], seen[i.y], seen[i.z], seen[i.w]);
  var are = ((words >> (tokens % 32u)) & vec4u(1u)) == vec4u(1u);
  for (var n = 0u; n < path_length; n++) {
    are |= tokens == vec4u(path[n]);
  }
  return are;
}

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
  atomicStore(&bins[thread][0], 0u);
  atomicStore(&bins[thread][1], 0u);
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
            list[end] = vec2u(key, at + i * THREADS);
          }
        }
      }
    }
    at += 4u * THREADS;
    if (at >= places()) {
      break;
    }
  }
  workgroupBarrier();
  if (thread == 0u && is_listing && atomicLoad(&appended) <= LISTED) {
    listed = atomicLoad(&appended);
  }
  var sum = vec2u(atomicLoad(&bins[thread][0]), atomicLoad(&bins[thread][1]));
  for (var step = 1u; step < BINS; step *= 4u) {
    sums[thread] = sum;
    workgroupBarrier();
    for (var other = thread + step; other < min(thread + 4u * step, BINS); other += step) {
      sum = plus(sum, sums[other]);
    }
    workgroupBarrier();
  }
  sums[thread] = sum;
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
  if (is_less(above, goal) && !is_less(sums[thread], goal)) {
    picked = vec3u(thread, minus(goal, above));
  }
  return workgroupUniformLoad(&picked);
}

// The token with the largest score at or above a threshold, noise added if asked for; of equals the lowest. LOWEST and
// some token if there is none.
fn largest(row: u32, threshold: u32, noisy: bool, thread: u32) -> Best {
  let position = rows.base + rows.depth[row] + 1u;
  var mine = Best(LOWEST, VOCAB - 1u);
  var at = thread;
  loop {
    let keys = keys_at(row, at);
    for (var i = 0u; i < 4u; i++) {
      if (keys[i] >= threshold) {
        var other = Best(value(keys[i]), token_at(at + i * THREADS));
        if (noisy) {
          other.logit += gumbel(position, other.token);
        }
        if (is_better(other, mine)) {
          mine = other;
        }
      }
    }
    at += 4u * THREADS;
    if (at >= places()) {
      break;
    }
  }
  found[thread] = mine;
  for (var stride = THREADS / 4u; stride > 0u; stride /= 4u) {
    workgroupBarrier();
    if (thread < stride) {
      for (var other = thread + stride; other < thread + 4u * stride; other += stride) {
        if (is_better(found[other], mine)) {
          mine = found[other];
        }
      }
      found[thread] = mine;
    }
  }
  return workgroupUniformLoad(&found[0]);
}

fn is_better(a: Best, b: Best) -> bool {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

// -ln(e), e exponentially distributed: e = -ln(1 - v), v uniform in (0, 1). Small e make large noise, so v keeps
// its precision towards 0, and there e is summed as a series, since log is not accurate close to 1.
fn gumbel(position: u32, token: u32) -> f32 {
  let bits = pcg3d(vec3u(options.seed, position, token)).x;
  let v = min((f32(bits) + 0.5) * 0x1p-32, 0x1.fffffep-1);
  let series = v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 3.0 + v * (1.0 / 4.0 + v * (1.0 / 5.0 + v / 6.0)))));
  return -log(select(-log(1.0 - v), series, v < 0.0625));
}

// Three words to three words that look random (Jarzynski and Olano 2020, "Hash Functions for GPU Rendering").
fn pcg3d(words: vec3u) -> vec3u {
  var v = words * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3u(16u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  return v;
}
