// What every drafter leaves in `rows`, besides the drafts.

// Once the generation has stopped: a pass of no rows.
fn plan_nothing() {
  rows.count = 0u;
  rows.commit_count = 0u;
}

// A pass of row 0, the last token, and so many drafts.
fn plan(drafts: u32) {
  rows.count = 1u + drafts;
  rows.base = state.length - 1u;
  rows.half = state.step & 1u;
  rows.token[0] = tokens[state.length - 1u];
  rows.parent[0] = 0u;
  rows.depth[0] = 0u;
}
