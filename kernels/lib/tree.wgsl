// What the two stages of the tree drafter share. Specified by decode/tree.ts; kept in step with
// decode/tree_buffers.ts.

const MAX_DRAFTS = 31u;
const CANDIDATES = 64u;    // places that propose drafts, at most
const MAX_AGREEMENT = 15u; // agreement is compared up to this length
const MAX_RESUMED = 6u;    // and, behind the first token that differs, over so many more
const KINDS = 3u;          // kinds of drafts, which learn apart

// The places that propose, the best first: agreement << 28 | resumed << 26 | near << 25 | place, so that larger
// is better.
struct Candidates {
  count: u32,
  key: array<u32, CANDIDATES>,
}

const PLACE_BITS = 25u;

// A draft of the tree as it was grown, before it was cut.
struct Grown {
  token: u32,
  parent: u32,      // row
  source: u32,      // index into tokens of what it was copied from
  kind: u32,
  probability: i32, // that it is accepted once its parent is, in 65536ths
}

// What the drafter remembers from pass to pass.
struct Memory {
  length: u32, // of the text when `grown` was
  source: u32, // where the last accepted draft would have gone on; 0 is none
  bias: array<i32, KINDS>, // what each kind has learned, a logit in 65536ths
  count: u32,
  grown: array<Grown, MAX_DRAFTS>, // row r is grown[r - 1]
}

// The numbers of decode/tree_parameters.ts, and what the generation asks for. Logits are in 256ths.
struct TreeOptions {
  num_draft: u32,
  least_reach: u32, // how likely a draft has to be to be grown, in 65536ths
  row_costs: array<u32, MAX_ROWS>, // of a pass of 1, 2, … rows, in 1024ths of one row's
  weights: array<u32, 7>,          // by agreement
  agreement: array<i32, 10>,
  resumed: array<array<i32, 4>, 4>,
  near: array<i32, 4>,
  share: array<array<i32, 11>, 2>,
  votes: array<array<i32, 4>, 2>,
  distance: array<array<i32, 4>, 2>,
  rate: array<i32, KINDS>,
  around_tokens: u32,
  around_cost: u32,
  agreement_bounds: array<u32, 9>,
  resumed_bounds: array<u32, 3>,
  share_bounds: array<u32, 10>,
  votes_bounds: array<u32, 3>,
  distance_bounds: array<u32, 3>,
  logistic: array<i32, 33>,
}
