// x += W · input: the projection that ends attention or the feed-forward, with its residual.

struct Part {
  first: u32, // the part's first output
  count: u32,
}

override STRIDE: u32; // values between two rows of the residual

@group(0) @binding(3) var<storage, read_write> residual: array<f32>; // [MAX_ROWS][STRIDE]
@group(0) @binding(4) var<uniform> part: Part;

const NEEDS_SQUARES = false;

fn prepare(v: Eight, k8: u32) -> Eight {
  return v;
}

fn weight_rows(quad: u32) -> vec4u {
  return min(4u * quad + vec4u(0u, 1u, 2u, 3u), vec4u(part.count - 1u));
}

fn finish(row: u32, quad: u32, sums: Sums) {
  for (var i = 0u; i < 4u && 4u * quad + i < part.count; i++) {
    residual[row * STRIDE + part.first + 4u * quad + i] += sums.y[i];
  }
}

@compute @workgroup_size(LANES * GROUPS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  multiply(workgroup.x, index);
}
