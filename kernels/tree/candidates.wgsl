// Drafting a tree, first half: learns from the fate of the last pass's drafts, then finds the places of the text
// that propose the next ones. Specified by learn() and findCandidates() in decode/tree.ts.

const THREADS = 256u;
const NEAR_AFTER = 12u; // a place is near if it is memory.source or at most so many tokens behind it
const MAX_BIAS = 4 << 16;
const FEW = 384u;      // keys that are put in order directly

@group(0) @binding(0) var<storage, read> state: State;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [context]
@group(0) @binding(2) var<storage, read_write> memory: Memory;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>; // [context]
@group(0) @binding(4) var<storage, read_write> candidates: Candidates;
@group(0) @binding(5) var<storage, read> options: TreeOptions;

var<workgroup> bias: array<atomic<i32>, KINDS>;
var<workgroup> remembered: u32; // tokens of the text when the last drafts were grown
var<workgroup> accepted: u32;
var<workgroup> found: atomic<u32>;
var<workgroup> bins: array<atomic<u32>, THREADS>;
var<workgroup> digit: vec2u; // the one sought, and how many keys have a larger one there
var<workgroup> count: u32;
var<workgroup> best: array<u32, CANDIDATES>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (state.stop != RUNNING) {
    return;
  }
  learn(thread);
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

// Leaves in `keys` every place that may be among the best: those that agree somehow, those that are near, and
// the latest. (If one that neither agrees nor is near is among the best, so is every later one.)
fn find(thread: u32) {
  let source = memory.source;
  for (var place = thread + 1u; place < state.length; place += THREADS) {
    let agreement = agreeing(place, 0u, MAX_AGREEMENT);
    let again = agreeing(place, agreement + 1u, MAX_RESUMED);
    var resumed = 0u;
    for (var i = 0; i < 3; i++) { resumed += u32(options.resumed_bounds[i] <= again); }
    let is_near = source > 0u && place >= source && place <= source + NEAR_AFTER;
    if (agreement + resumed > 0u || is_near || place + CANDIDATES >= state.length) {
      keys[atomicAdd(&found, 1u)] = (((agreement << 3u) | (resumed << 1u) | u32(is_near)) << PLACE_BITS) | place;
    }
  }
}

// How many tokens agree behind the last `skip` of the text and those before `place`, up to `most`.
fn agreeing(place: u32, skip: u32, most: u32) -> u32 {
  var n = 0u;
  while (n < most && skip + n < place && tokens[place - 1u - skip - n] == tokens[state.length - 1u - skip - n]) {
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
      var larger = 0u;
      for (var other = 0u; other < all; other++) {
        larger += u32(keys[other] > keys[i]);
      }
      if (larger < CANDIDATES) {
        candidates.key[larger] = keys[i];
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
    var larger = 0u;
    for (var other = thread + 1u; other < THREADS; other++) {
      larger += atomicLoad(&bins[other]);
    }
    if (larger < wanted && larger + atomicLoad(&bins[thread]) >= wanted) {
      digit = vec2u(thread, larger);
    }
    let found_digit = workgroupUniformLoad(&digit);
    prefix |= found_digit.x << low;
    wanted -= found_digit.y;
  }
  return prefix;
}
