// A row that a product is to read lies in planes of quads: where that product takes 8 values at once, the lower quad of
// every eight, then the upper ones; where it takes 16, four planes. So lanes that work on neighbouring pieces read
// neighbouring 16 bytes (product.wgsl).

override PLANES: u32; // 2 or 4, as the product that reads demands

// Where a row of `stride` values, a multiple of 16, has a quad of them.
fn plane_quad(quad: u32, stride: u32) -> u32 {
  return quad % PLANES * (stride / 4u / PLANES) + quad / PLANES;
}

// Where it has a value.
fn in_planes(i: u32, stride: u32) -> u32 {
  return 4u * plane_quad(i / 4u, stride) + i % 4u;
}
