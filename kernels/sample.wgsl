// The sampled choice: repetition penalty, temperature, top-k, top-p and min-p, in that order (that of Hugging
// Face transformers), then one draw. A workgroup takes a row at a time.
//
// A draw is the argmax of logit / temperature + Gumbel noise, which is a sample of the softmax (Gumbel 1954).
// The noise is a function of the seed, the token's absolute position and the token alone. It does not depend
// on drafts, so sampled text is the same with and without lookup, and a draft is accepted when it equals
// the draw.

override VOCAB: u32;
override SLICES: u32; // slices of the vocabulary in `best`; a draw fills them all

const THREADS = 256u;

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

var<workgroup> partial: array<vec3f, THREADS>;
var<workgroup> found: array<Best, THREADS>;
var<workgroup> path: array<u32, MAX_ROWS>; // tokens of this row and its ancestors, without row 0
var<workgroup> path_length: u32;

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
  }
  workgroupBarrier();

  let likeliest = largest(row, 0u, false, thread);
  let top = likeliest.logit;
  var threshold = 0u;
  if (options.temperature > 0.0) {
    if (options.top_k > 0u && options.top_k < VOCAB) {
      threshold = cut(row, 0u, f32(options.top_k), false, top, thread);
    }
    if (options.top_p < 1.0) {
      let all = mass(row, vec3u(threshold), true, top, thread).x;
      threshold = max(threshold, cut(row, threshold, options.top_p * all, true, top, thread));
    }
    if (options.min_p > 0.0) {
      threshold = max(threshold, key(top + log(options.min_p)));
    }
  }
  var drawn = largest(row, threshold, options.temperature > 0.0, thread);
  // Were a score a bit less here than where the threshold was found, none might reach it.
  if (drawn.logit == LOWEST) {
    drawn = likeliest;
  }
  for (var slice = thread; slice < SLICES; slice += THREADS) {
    best[row * SLICES + slice] = drawn;
  }
}

// A token's logit after repetition penalty and temperature.
fn score(row: u32, token: u32) -> f32 {
  var logit = logits[row * VOCAB + token];
  if (options.penalty != 1.0 && is_seen(token)) {
    logit = select(logit * options.penalty, logit / options.penalty, logit > 0.0);
  }
  if (options.temperature > 0.0) {
    logit /= options.temperature;
  }
  return logit;
}

fn is_seen(token: u32) -> bool {
  if ((seen[token / 32u] >> (token % 32u) & 1u) == 1u) {
    return true;
  }
  for (var i = 0u; i < path_length; i++) {
    if (path[i] == token) {
      return true;
    }
  }
  return false;
}

// An integer that orders as the floats do.
fn key(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}

// The largest threshold that keeps at least `wanted`, in tokens or in e^(score - top), of what is at or above
// `floor`: a search for two bits at a time, without a sort. Of equal scores all are kept or none.
fn cut(row: u32, floor: u32, wanted: f32, weigh: bool, top: f32, thread: u32) -> u32 {
  var threshold = 0u;
  for (var shift = 32u; shift > 0u; shift -= 2u) {
    let unit = 1u << (shift - 2u);
    let kept = mass(row, max(threshold + unit * vec3u(1u, 2u, 3u), vec3u(floor)), weigh, top, thread);
    threshold += unit * dot(select(vec3u(), vec3u(1u), kept >= vec3f(wanted)), vec3u(1u));
  }
  return threshold;
}

// What is at or above each of three thresholds. The sum has a fixed order, so it is monotone in the threshold
// and the same in every row.
fn mass(row: u32, thresholds: vec3u, weigh: bool, top: f32, thread: u32) -> vec3f {
  var sum = vec3f();
  for (var token = thread; token < VOCAB; token += THREADS) {
    let s = score(row, token);
    let weight = select(1.0, exp(s - top), weigh);
    sum += select(vec3f(), vec3f(weight), vec3u(key(s)) >= thresholds);
  }
  partial[thread] = sum;
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      partial[thread] += partial[thread + stride];
    }
  }
  workgroupBarrier();
  let total = partial[0];
  workgroupBarrier();
  return total;
}

// The token with the largest score at or above a threshold, noise added if asked for; of equals the lowest. LOWEST and
// some token if there is none.
fn largest(row: u32, threshold: u32, noisy: bool, thread: u32) -> Best {
  var mine = Best(LOWEST, VOCAB - 1u);
  for (var token = thread; token < VOCAB; token += THREADS) {
    var s = score(row, token);
    if (key(s) >= threshold) {
      if (noisy) {
        s += gumbel(rows.base + rows.depth[row] + 1u, token);
      }
      if (s > mine.logit) {
        mine = Best(s, token);
      }
    }
  }
  found[thread] = mine;
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      let other = found[thread + stride];
      if (other.logit > mine.logit || (other.logit == mine.logit && other.token < mine.token)) {
        mine = other;
        found[thread] = other;
      }
    }
  }
  workgroupBarrier();
  let winner = found[0];
  workgroupBarrier();
  return winner;
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
