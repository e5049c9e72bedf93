// In place of the choice: the token that a recorded answer has there. For benchmarks only, which so run the
// real kernels with the real pattern of acceptance on whatever weights there are.

override SLICES: u32; // slices of the vocabulary in `best`; all say the same

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> recorded: array<u32>; // prompt and answer, 0 beyond
@group(0) @binding(2) var<storage, read_write> best: array<Best>; // [MAX_ROWS][SLICES]

@compute @workgroup_size(MAX_ROWS)
fn main(@builtin(local_invocation_index) row: u32) {
  if (row >= rows.count) {
    return;
  }
  // Past the end clamped accesses give some token; the length limit has stopped the walk by then.
  let token = recorded[rows.base + rows.depth[row] + 1u];
  for (var slice = 0u; slice < SLICES; slice++) {
    best[row * SLICES + slice] = Best(0.0, token);
  }
}
