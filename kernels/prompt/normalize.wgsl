// RMSNorm of the prompt's rows: out = x / √(mean(x²) + ε) · gain. The lanes of a subgroup share a row, so that no barrier is
// needed.

override LANES: u32; // of a workgroup, as lib/lanes_*.wgsl adds up
override STRIDE: u32; // values between two rows, a multiple of four
override HIDDEN: u32; // values in a row
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [rows][STRIDE / 4]
@group(0) @binding(1) var<storage, read> gain: array<vec4f>; // [HIDDEN / 4, rounded up]
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [rows][STRIDE / 4]

// Zeros where a row has ended.
fn in_row(i: u32, v: vec4f) -> vec4f {
  return select(vec4f(), v, 4u * i + vec4u(0u, 1u, 2u, 3u) < vec4u(HIDDEN));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = workgroup.x * (STRIDE / 4u);
  let quads = (HIDDEN + 3u) / 4u;
  var sum = vec4f();
  for (var i = lane; i < quads; i += LANES) {
    let v = in_row(i, x[row + i]);
    sum = fma(v, v, sum);
  }
  let all = sum_lanes(sum, lane);
  let scale = inverseSqrt((all.x + all.y + all.z + all.w) / f32(HIDDEN) + EPSILON);
  for (var i = lane; i < quads; i += LANES) {
    out[row + i] = in_row(i, x[row + i] * scale * gain[i]);
  }
}
