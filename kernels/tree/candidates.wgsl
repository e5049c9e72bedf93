// Drafting a tree, first half: learns from the fate of the last pass's drafts, then finds the places of the text
// that propose the next ones. Specified by learn() and findCandidates() in decode/tree.ts.

const THREADS = 256u;
const NEAR_AFTER = 12u; // a place is near if it is memory.source or at most so many tokens behind it
const MAX_BIAS = 4 << 16;
const FEW = 384u;        // keys that are put in order directly
const TAIL = MAX_AGREEMENT + 1u + MAX_RESUMED;

@group(0) @binding(0) var<storage, read> state: State;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [context]
@group(0) @binding(2) var<storage, read_write> memory: Memory;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>; // [context]
@group(0) @binding(4) var<storage, read_write> candidates: Candidates;
@group(0) @binding(5) var<storage, read> options: TreeOptions;
@group(0) @binding(6) var<storage, read> words: array<u32>; // [vocabulary]: a token for all that write the same word
@group(0) @binding(7) var<storage, read_write> text: array<u32>; // [context]: the words of tokens

var<workgroup> bias: array<atomic<i32>, KINDS>;
var<workgroup> remembered: u32; // tokens of the text when the last drafts were grown
var<workgroup> accepted: u32;
var<workgroup> tail: array<u32, TAIL>; // words of the text, the last first
var<workgroup> found: atomic<u32>;
var<workgroup> bins: array<atomic<u32>, THREADS>;
var<workgroup> sums: array<u32, THREADS>; // of a bin and all above
var<workgroup> digit: vec2u; // the one sought, and how many keys have a larger one there
var<workgroup> count: u32;
var<workgroup> best: array<u32, FEW>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (state.stop != RUNNING) {
    return;
  }
  learn(thread);
  spell(thread);
  find(thread);
  select_best(thread);
}

// Drafts below accepted ones were right or wrong; a thread each.
fn learn(thread: u32) {
  if (thread < KINDS) {
    atomicStore(&bias[thread], memory.bias[thread] - (memory.bias[thread] >> 7u));
  }
  if (thread == 0u) {
    remembered = memory.length;
  }
  var parent = 0u;
  var source = memory.source;
  for (var at = workgroupUniformLoad(&remembered); at < state.length; at++) {
    workgroupBarrier();
    if (thread == 0u) {
      accepted = 0u;
    }
    workgroupBarrier();
    if (thread < memory.count && memory.grown[thread].parent == parent) {
      let draft = memory.grown[thread];
      let is_right = draft.token == tokens[at];
      if (is_right) {
        accepted = thread + 1u;
      }
      atomicAdd(&bias[draft.kind], ((select(0, 65535, is_right) - draft.probability) * options.rate[draft.kind]) >> 10u);
    }
    parent = workgroupUniformLoad(&accepted);
    if (parent == 0u) {
      break;
    }
    source = memory.grown[parent - 1u].source + 1u;
  }
  workgroupBarrier();
  if (thread < KINDS) {
    memory.bias[thread] = clamp(atomicLoad(&bias[thread]), -MAX_BIAS, MAX_BIAS);
  }
  if (thread == 0u) {
    memory.source = source;
  }
  storageBarrier();
}

// The words of what has come since, at first of the whole text.
fn spell(thread: u32) {
  for (var at = workgroupUniformLoad(&remembered) + thread; at < state.length; at += THREADS) {
    text[at] = words[tokens[at]];
  }
  storageBarrier();
}

// Leaves in `keys` every place that may be among the best: those that agree somehow, those that are near, and
// the latest. (If one that neither agrees nor is near is among the best, so is every later one.)
fn find(thread: u32) {
  let source = memory.source;
  let length = state.length;
  if (thread < TAIL && thread < length) {
    tail[thread] = text[length - 1u - thread];
  }
  workgroupBarrier();
  for (var first = thread + 1u; first < length; first += 4u * THREADS) {
    // Four places at a time, so that their loads overlap. Of most of them two words say that they do not agree.
    let places = first + THREADS * vec4u(0u, 1u, 2u, 3u);
    let a = min(places, vec4u(length)) - 1u;
    let b = max(a, vec4u(1u)) - 1u;
    let last = vec4u(text[a.x], text[a.y], text[a.z], text[a.w]) == vec4u(tail[0]);
    let other = vec4u(text[b.x], text[b.y], text[b.z], text[b.w]) == vec4u(tail[1]);
    for (var i = 0u; i < 4u; i++) {
      let place = places[i];
      let is_near = source > 0u && place >= source && place <= source + NEAR_AFTER;
      let is_late = place + CANDIDATES >= length;
      if (place < length && (last[i] || other[i] || is_near || is_late)) {
        let agreement = agreeing(place, 0u, MAX_AGREEMENT);
        let again = agreeing(place, agreement + 1u, MAX_RESUMED);
        var resumed = 0u;
        for (var j = 0; j < 3; j++) { resumed += u32(options.resumed_bounds[j] <= again); }
        if (agreement + resumed > 0u || is_near || is_late) {
          keys[atomicAdd(&found, 1u)] = (((agreement << 3u) | (resumed << 1u) | u32(is_near)) << PLACE_BITS) | place;
        }
      }
    }
  }
}

// How many tokens agree behind the last `skip` of the text and those before `place`, up to `most`.
fn agreeing(place: u32, skip: u32, most: u32) -> u32 {
  var n = 0u;
  while (n < most && skip + n < place && text[place - 1u - skip - n] == tail[skip + n]) {
    n++;
  }
  return n;
}

// The largest keys, in order.
fn select_best(thread: u32) {
  storageBarrier();
  workgroupBarrier();
  if (thread == 0u) {
    count = atomicLoad(&found);
    atomicStore(&found, 0u);
  }
  let all = workgroupUniformLoad(&count);
  if (all <= FEW) {
    // Few enough to be put in order among themselves.
    for (var i = thread; i < all; i += THREADS) {
      best[i] = keys[i];
    }
    workgroupBarrier();
    for (var i = thread; i < all; i += THREADS) {
      var larger = 0u;
      for (var other = 0u; other < all; other++) {
        larger += u32(best[other] > best[i]);
      }
      if (larger < CANDIDATES) {
        candidates.key[larger] = best[i];
      }
    }
    if (thread == 0u) {
      candidates.count = min(all, CANDIDATES);
    }
    return;
  }
  let smallest = threshold(all, thread);
  for (var i = thread; i < all; i += THREADS) {
    if (keys[i] >= smallest) {
      best[atomicAdd(&found, 1u)] = keys[i];
    }
  }
  workgroupBarrier();
  let kept = min(all, CANDIDATES);
  if (thread < kept) {
    var larger = 0u;
    for (var i = 0u; i < kept; i++) {
      larger += u32(best[i] > best[thread]);
    }
    candidates.key[larger] = best[thread];
  }
  if (thread == 0u) {
    candidates.count = kept;
  }
}

// The smallest of the keys to keep: no two are equal. Found digit by digit of 8 bits, the highest first; a
// thread each counts the keys of a digit's value.
fn threshold(all: u32, thread: u32) -> u32 {
  var prefix = 0u;
  if (all <= CANDIDATES) {
    return prefix;
  }
  var wanted = CANDIDATES; // of the keys that begin with the prefix
  for (var shift = 24i; shift >= 0; shift -= 8) {
    atomicStore(&bins[thread], 0u);
    workgroupBarrier();
    let low = u32(shift);
    for (var i = thread; i < all; i += THREADS) {
      // Twice by four bits: a shift by 32 is none.
      if (((((keys[i] ^ prefix) >> low) >> 4u) >> 4u) == 0u) {
        atomicAdd(&bins[(keys[i] >> low) & 255u], 1u);
      }
    }
    workgroupBarrier();
    let own = atomicLoad(&bins[thread]);
    var sum = own;
    for (var step = 1u; step < THREADS; step *= 4u) {
      sums[thread] = sum;
      workgroupBarrier();
      for (var other = thread + step; other < min(thread + 4u * step, THREADS); other += step) {
        sum += sums[other];
      }
      workgroupBarrier();
    }
    let larger = sum - own;
    if (larger < wanted && sum >= wanted) {
      digit = vec2u(thread, larger);
    }
    let found_digit = workgroupUniformLoad(&digit);
    prefix |= found_digit.x << low;
    wanted -= found_digit.y;
  }
  return prefix;
}
