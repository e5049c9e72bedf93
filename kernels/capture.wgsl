// Copies the logits rows that chose this step's tokens to where the CPU will read them; only for --logits-digest.

override VOCAB: u32;
override RING: u32; // steps kept

@group(0) @binding(0) var<storage, read> state: State;
@group(0) @binding(1) var<storage, read> rows: Rows;
@group(0) @binding(2) var<storage, read> logits: array<u32>; // [MAX_ROWS][VOCAB], bits
@group(0) @binding(3) var<storage, read_write> captured: array<u32>; // [RING][MAX_ROWS][VOCAB]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let i = thread.y;
  if (i >= rows.commit_count || thread.x >= VOCAB) {
    return;
  }
  let slot = (state.step - 1u) % RING; // accept has counted this step already
  captured[(slot * MAX_ROWS + i) * VOCAB + thread.x] = logits[rows.commit_row[i] * VOCAB + thread.x];
}
