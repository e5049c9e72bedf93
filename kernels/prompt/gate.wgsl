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

const THREADS = 64u; // of a workgroup, with four outputs each: a GPU starts fewer of them sooner

fn put(row: u32, j: u32) {
  if (j < part.count) {
    let at = row * WIDTH + 2u * part.first + j;
    h[row * STRIDE + part.first + j] = silu(gate_up[at]) * gate_up[at + part.count];
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let j = workgroup.x * 4u * THREADS + thread;
  put(workgroup.y, j);
  put(workgroup.y, j + THREADS);
  put(workgroup.y, j + 2u * THREADS);
  put(workgroup.y, j + 3u * THREADS);
}
