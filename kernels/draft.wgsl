// draft: guesses the next tokens by prompt lookup and lays out the rows of the pass.
//
// The original's rule (Saxena 2023, prompt lookup decoding), specified by lookup() in decode/lookup.ts:
// of the last max_ngram, …, 1 tokens, the longest run that occurs earlier with num_draft tokens after it;
// of its occurrences the first. Its continuation is the draft, a chain of rows below row 0.

const THREADS = 256u;

struct Options {
  max_ngram: u32, // at most 15
  num_draft: u32, // at most MAX_ROWS - 1; 0 is plain decoding
}

@group(0) @binding(0) var<storage, read> state: State;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [context]
@group(0) @binding(2) var<storage, read_write> rows: Rows;
@group(0) @binding(3) var<storage, read_write> sources: array<Source>; // [MAX_ROWS], of the drafts
@group(0) @binding(4) var<uniform> options: Options;

// The best match so far, ordered by length of n-gram, then by place: (15 - n) in the upper 4 bits, the
// place of the continuation in the lower 28.
var<workgroup> best: atomic<u32>;

const NONE = 0xffffffffu;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (state.stop != RUNNING) {
    if (thread == 0u) {
      plan_nothing();
    }
    return;
  }
  let length = state.length;
  if (thread == 0u) {
    atomicStore(&best, NONE);
  }
  workgroupBarrier();
  if (options.num_draft > 0u) {
    for (var next = thread + 1u; next + options.num_draft <= length; next += THREADS) {
      let n = agreement(next, length);
      if (n > 0u) {
        atomicMin(&best, ((15u - n) << 28u) | next);
      }
    }
  }
  workgroupBarrier();
  let found = atomicLoad(&best);
  let start = found & 0x0fffffffu;
  var drafts = 0u;
  if (found != NONE) {
    // A pass yields one token more than it accepts, so the last drafts before the limit cannot count.
    drafts = min(options.num_draft, state.limit - length - 1u);
  }
  if (thread == 0u) {
    plan(drafts);
  }
  if (thread < drafts) {
    rows.token[thread + 1u] = tokens[start + thread];
    rows.parent[thread + 1u] = thread;
    rows.depth[thread + 1u] = thread + 1u;
    sources[thread + 1u] = Source(start, 15u - (found >> 28u));
  }
}

// How many of the last tokens (at most max_ngram) stand right before `next`, as a full n-gram that is
// followed by a place other than the end: next < length - n.
fn agreement(next: u32, length: u32) -> u32 {
  var n = 0u;
  while (n < options.max_ngram && n < next && next + n + 1u < length && tokens[next - 1u - n] == tokens[length - 1u - n]) {
    n++;
  }
  return n;
}
