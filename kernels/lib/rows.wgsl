// The rows of one pass: what draft decided, what every stage loops over, what accept walks.
// Row 0 is the last accepted token; its keys and values are not in the cache yet. A row's parent has a
// lower index. Kept in step with rowWords() in decode/rows.ts.

const MAX_ROWS = 32u;

struct Rows {
  count: u32,                       // rows in this pass; 0 once the generation has stopped
  token: array<u32, MAX_ROWS>,
  parent: array<u32, MAX_ROWS>,     // row 0's is 0
  depth: array<u32, MAX_ROWS>,      // distance from row 0
  base: u32,                        // absolute position of row 0; a row stands at base + depth
  half: u32,                        // which half of the fresh slots this pass writes
  commit_count: u32,                // accepted rows of the pass before, whose keys and values move from
  commit_base: u32,                 //   the other fresh half to the cache at commit_base, + 1, …
  commit_row: array<u32, MAX_ROWS>,
}
