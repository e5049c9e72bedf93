// norm · head: the logits of every row of the pass.

struct Part {
  first: u32, // token id of the part's first row
  count: u32,
}

override VOCAB: u32;

@group(0) @binding(4) var<storage, read_write> logits: array<f32>; // [MAX_ROWS][VOCAB]
@group(0) @binding(5) var<uniform> part: Part;

fn weight_rows(quad: u32) -> vec4u {
  return min(4u * quad + vec4u(0u, 1u, 2u, 3u), vec4u(part.count - 1u));
}

fn finish(row: u32, quad: u32, sums: vec4f, scales: vec4f) {
  let y = sums * scales;
  let n = 4u * quad;
  let at = row * VOCAB + part.first + n;
  if (n < part.count) { logits[at] = y.x; }
  if (n + 1u < part.count) { logits[at + 1u] = y.y; }
  if (n + 2u < part.count) { logits[at + 2u] = y.z; }
  if (n + 3u < part.count) { logits[at + 3u] = y.w; }
}

@compute @workgroup_size(LANES * GROUPS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  multiply(workgroup.x, index);
}
