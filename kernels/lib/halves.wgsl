// A row that a product is to read lies in halves: the lower four values of every eight, then the upper four. So lanes that
// work on neighbouring eights read neighbouring 16 bytes (product.wgsl).

// Where a row of `stride` values has a quad of them.
fn halved_quad(quad: u32, stride: u32) -> u32 {
  return quad % 2u * (stride / 8u) + quad / 2u;
}

// Where it has a value.
fn halved(i: u32, stride: u32) -> u32 {
  return 4u * halved_quad(i / 4u, stride) + i % 4u;
}
