// What prompt/matmul.wgsl adds to lib/prompt_sums_eight.wgsl at a k. Workgroup memory is what such a product waits for:
// four loads of 16 bytes serve 64 multiply-adds.

fn add(s: Sums, four: u32, k: u32, across: u32, down: u32) -> Sums {
  let near = tile[four].at[k][across];
  let far = tile[four].at[k][FAR + across];
  let upper = tile[four].at[k][FIRST_ROWS + down];
  let lower = tile[four].at[k][FIRST_ROWS + LOWER + down];
  return Sums(
    add_square(s.upper_near, upper, near),
    add_square(s.upper_far, upper, far),
    add_square(s.lower_near, lower, near),
    add_square(s.lower_far, lower, far),
  );
}
