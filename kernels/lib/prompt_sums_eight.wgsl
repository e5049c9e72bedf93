// Eight rows' sums of eight outputs a thread, of prompt/matmul.wgsl and prompt/matmul_f16.wgsl.

const ROWS = 64u;

// A thread's sums: those of its first four rows and of the others, each of its first four outputs and of the others.
struct Sums {
  upper_near: Square,
  upper_far: Square,
  lower_near: Square,
  lower_far: Square,
}

// Workgroup memory is what such a product waits for: four loads serve 64 multiply-adds.
fn add(s: TileSums, four: u32, k: u32, across: u32, down: u32) -> TileSums {
  let near = tile[four].at[k][across];
  let far = tile[four].at[k][FAR + across];
  let upper = tile[four].at[k][FIRST_ROWS + down];
  let lower = tile[four].at[k][FIRST_ROWS + LOWER + down];
  return TileSums(
    add_square(s.upper_near, upper, near),
    add_square(s.upper_far, upper, far),
    add_square(s.lower_near, lower, near),
    add_square(s.lower_far, lower, far),
  );
}

// Those of a thread, whose first row is `row` and whose first output is n.
fn store_sums(row: u32, n: u32, s: Sums) {
  store_square(row, n, s.upper_near);
  store_square(row, n + 4u * FAR, s.upper_far);
  store_square(row + 4u * LOWER, n, s.lower_near);
  store_square(row + 4u * LOWER, n + 4u * FAR, s.lower_far);
}
