// accept: walks from row 0 along the drafts that the model chose itself, appends them and the one token
// more that the last accepted row chose, and stops at an end-of-sequence token, at the length limit, or before a token
// that no row can choose since its logits are no numbers. Specified by accept() in decode/accept.ts.

override SLICES: u32; // slices of the vocabulary in `best`
override RING: u32;   // results kept

struct Result {
  count: u32,         // tokens appended by this step; 0 once stopped
  accepted: u32,      // those of them that a draft said: the first ones, perhaps all if the answer ends with them
  drafted: u32,       // drafts it verified
  source: Source,     // of the last draft that was accepted, or else of the first; 0 without drafts
  stop: u32,          // RUNNING or a STOP, after this step
  token: array<u32, MAX_ROWS>,
}

@group(0) @binding(0) var<storage, read_write> state: State;
@group(0) @binding(1) var<storage, read_write> tokens: array<u32>; // [context]
@group(0) @binding(2) var<storage, read_write> rows: Rows;
@group(0) @binding(3) var<storage, read> best: array<Best>; // [MAX_ROWS][SLICES]
@group(0) @binding(4) var<storage, read> sources: array<Source>; // [MAX_ROWS], of the drafts
@group(0) @binding(5) var<storage, read> eos: array<u32>; // count, then the end-of-sequence tokens
@group(0) @binding(6) var<storage, read_write> results: array<Result>; // [RING], step s in s mod RING
@group(0) @binding(7) var<storage, read_write> seen: array<u32>; // a bit for each token that stands in the text

const NONE = 0xffffffffu; // in place of a token

var<workgroup> chosen: array<u32, MAX_ROWS>;
var<workgroup> parent: array<u32, MAX_ROWS>; // those of the rows, close at hand
var<workgroup> draft: array<u32, MAX_ROWS>;  // their tokens

@compute @workgroup_size(MAX_ROWS)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (thread < rows.count) {
    chosen[thread] = choice(thread);
    parent[thread] = rows.parent[thread];
    draft[thread] = rows.token[thread];
  }
  workgroupBarrier();
  if (thread == 0u) {
    walk();
  }
}

fn choice(row: u32) -> u32 {
  var mine = best[row * SLICES];
  for (var slice = 1u; slice < SLICES; slice++) {
    let other = best[row * SLICES + slice]; // of higher tokens, so it has to be larger
    if (other.logit > mine.logit) {
      mine = other;
    }
  }
  return select(NONE, mine.token, mine.logit > LOWEST);
}

fn walk() {
  let step = state.step;
  let at = step % RING;
  state.step = step + 1u;
  var count = 0u;
  var accepted = 0u;
  if (rows.count > 0u) {
    var row = 0u;
    var last = 1u; // the draft that is reported
    loop {
      let token = chosen[row];
      if (token == NONE) {
        state.stop = STOP_NAN;
        break;
      }
      rows.commit_row[count] = row;
      results[at].token[count] = token;
      tokens[state.length] = token;
      seen[token / 32u] |= 1u << (token % 32u);
      state.length++;
      count++;
      row = child(row, token);
      if (row > 0u) {
        accepted++;
        last = row;
      }
      if (is_eos(token)) {
        state.stop = STOP_EOS;
        break;
      }
      if (state.length >= state.limit) {
        state.stop = STOP_LENGTH;
        break;
      }
      if (row == 0u) {
        break;
      }
    }
    rows.commit_base = rows.base;
    results[at].drafted = rows.count - 1u;
    results[at].source = Source();
    if (rows.count > 1u) {
      results[at].source = sources[last];
    }
  }
  rows.commit_count = count;
  results[at].count = count;
  results[at].accepted = accepted;
  results[at].stop = state.stop;
}

// The draft below `row` that says `token`, or 0.
fn child(row: u32, token: u32) -> u32 {
  let count = rows.count;
  for (var r = row + 1u; r < count; r++) {
    if (parent[r] == row && draft[r] == token) {
      return r;
    }
  }
  return 0u;
}

fn is_eos(token: u32) -> bool {
  for (var i = 0u; i < eos[0]; i++) {
    if (eos[1u + i] == token) {
      return true;
    }
  }
  return false;
}
