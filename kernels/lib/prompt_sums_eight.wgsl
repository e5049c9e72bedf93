// Eight rows' sums of eight outputs a thread of prompt/matmul.wgsl. Workgroup memory is what such a product waits for:
// four loads of 16 bytes serve 64 multiply-adds.

const ROWS = 64u;

// A thread's sums: those of its first four rows and of the others, each of its first four outputs and of the others.
struct Sums {
  upper_near: Square,
  upper_far: Square,
  lower_near: Square,
  lower_far: Square,
}

fn add(s: Sums, k: u32, across: u32, down: u32) -> Sums {
  let near = tile[k][across];
  let far = tile[k][FAR + across];
  let upper = tile[k][FIRST_ROWS + down];
  let lower = tile[k][FIRST_ROWS + LOWER + down];
  return Sums(
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
