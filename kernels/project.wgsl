// residual += W · x: the projection that ends attention or the feed-forward.

struct Part {
  first: u32, // the part's first output, a multiple of four
  count: u32,
}

@group(0) @binding(7) var<uniform> part: Part;

fn row_factors(row: u32, count: u32, lane: u32, index: u32) -> vec4f {
  return vec4f(1.0);
}

fn weight_rows(quad: u32) -> vec4u {
  return min(4u * quad + vec4u(0u, 1u, 2u, 3u), vec4u(part.count - 1u));
}

fn finish(row: u32, quad: u32, sums: vec4f, scales: vec4f) {
  if (4u * quad >= part.count) {
    return;
  }
  // What pads the row stays zero.
  let mine = select(vec4f(), scales, 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(part.count));
  let at = part.first / 4u + quad;
  keep(row, at, fma(sums, mine, residual[row * (STRIDE / 4u) + at]));
}

@compute @workgroup_size(LANES * GROUPS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  multiply(workgroup.x, index);
}
