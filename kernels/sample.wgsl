// The sampled choice: repetition penalty, temperature, top-k, top-p and min-p, in that order (that of Hugging
// Face transformers), then one draw. A workgroup takes a row at a time.
//
// A draw is the argmax of logit / temperature + Gumbel noise, which is a sample of the softmax (Gumbel 1954).
// The noise is a function of the seed, the token's absolute position and the token alone. It does not depend
// on drafts, so sampled text is the same with and without lookup, and a draft is accepted when it equals
// the draw.
//
// Top-k and top-p are each a threshold, which lib/threshold.wgsl finds; lib/gumbel.wgsl has the noise.
//
// Where lanes are a CPU's vectors, all code is gone through, taken or not, and a loop's head once more than its body:
// so what is long stands once, and loops end at their end.

override VOCAB: u32;
override SLICES: u32; // slices of the vocabulary in `best`; a draw fills them all

override SAMPLERS: u32; // threads of a workgroup, 256 or 1024: what they ask for at once bounds how fast a row is read

const LEAST = 1u; // below the key of every score

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
var<workgroup> found: array<Best, SAMPLERS>;

@compute @workgroup_size(SAMPLERS)
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
  var drawn = likeliest;
  var threshold = LEAST;
  // Where some are not to be drawn, the likeliest is found first: thresholds are so far below it.
  var is_last = !is_drawn || !(is_top_k || is_top_p || options.min_p > 0.0);
  loop {
    drawn = largest(row, threshold, is_drawn && is_last, thread);
    if (is_last) {
      break;
    }
    is_last = true;
    likeliest = drawn;
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
  // Were a score a bit less here than where the threshold was found, none might reach it.
  if (drawn.logit == LOWEST) {
    drawn = likeliest;
  }
  for (var slice = thread; slice < SLICES; slice += SAMPLERS) {
    best[row * SLICES + slice] = drawn;
  }
}

// How many places a sweep looks at.
fn places() -> u32 {
  return select(VOCAB, listed, listed > 0u);
}

// The keys of four places, `SAMPLERS` apart so that their loads overlap; 0 for what is no place or no number.
fn keys_at(row: u32, first: u32) -> vec4u {
  let at = first + SAMPLERS * vec4u(0u, 1u, 2u, 3u);
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
        var other = Best(value(keys[i]), token_at(at + i * SAMPLERS));
        if (noisy) {
          other.logit += gumbel(position, other.token);
        }
        if (is_better(other, mine)) {
          mine = other;
        }
      }
    }
    at += 4u * SAMPLERS;
    if (at >= places()) {
      break;
    }
  }
  found[thread] = mine;
  for (var stride = SAMPLERS / 4u; stride > 0u; stride /= 4u) {
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
