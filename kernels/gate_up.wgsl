// norm · gate · up · silu: h[row][j] = silu(gate_j · norm(x)) · (up_j · norm(x)), the SwiGLU of Shazeer 2020.
//
// A part of the weight is [2][part.count][K]: some rows of gate_proj, then the same rows of up_proj.

struct Part {
  first: u32, // the part's first output
  count: u32, // outputs of this part
}

override STRIDE: u32; // values between two rows of h

@group(0) @binding(4) var<storage, read_write> h: array<f32>; // [MAX_ROWS][STRIDE], in planes
@group(0) @binding(5) var<uniform> part: Part;

fn weight_rows(quad: u32) -> vec4u {
  let j = min(vec2u(2u * quad, 2u * quad + 1u), vec2u(part.count - 1u));
  return vec4u(j.x, j.x + part.count, j.y, j.y + part.count);
}

fn finish(row: u32, quad: u32, sums: vec4f, scales: vec4f) {
  let y = sums * scales;
  let j = part.first + 2u * quad;
  if (2u * quad < part.count) {
    h[row * STRIDE + in_planes(j, STRIDE)] = silu(y.x) * y.y;
  }
  if (2u * quad + 1u < part.count) {
    h[row * STRIDE + in_planes(j + 1u, STRIDE)] = silu(y.z) * y.w;
  }
}

@compute @workgroup_size(LANES * GROUPS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  multiply(workgroup.x, index);
}
