// Four rows' sums of eight outputs a thread of prompt/matmul.wgsl, for GPUs that do not have the registers for eight.

const ROWS = 32u;

// A thread's sums: those of its first four outputs and of the others.
struct Sums {
  near: Square,
  far: Square,
}

fn add(s: TileSums, four: u32, k: u32, across: u32, down: u32) -> TileSums {
  let rows = tile[four].at[k][FIRST_ROWS + down];
  return TileSums(
    add_square(s.near, rows, tile[four].at[k][across]),
    add_square(s.far, rows, tile[four].at[k][FAR + across]),
  );
}

// Those of a thread, whose first row is `row` and whose first output is n.
fn store_sums(row: u32, n: u32, s: Sums) {
  store_square(row, n, s.near);
  store_square(row, n + 4u * FAR, s.far);
}
