// h[row][first + j] = silu(gate) · up, from the product of one part of the gate-and-up weights.

override STRIDE: u32; // values between two rows of h
override WIDTH: u32;  // values between two rows of gate_up

struct Part {
  first: u32, // the part's first output
  count: u32,
}

@group(0) @binding(0) var<storage, read> gate_up: array<f32>; // [rows][WIDTH]: at 2 · first: gate[count], up[count]
@group(0) @binding(1) var<storage, read_write> h: array<f32>; // [rows][STRIDE]
@group(0) @binding(2) var<uniform> part: Part;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let j = thread.x;
  let row = thread.y;
  if (j >= part.count) {
    return;
  }
  let at = row * WIDTH + 2u * part.first + j;
  h[row * STRIDE + part.first + j] = silu(gate_up[at]) * gate_up[at + part.count];
}
