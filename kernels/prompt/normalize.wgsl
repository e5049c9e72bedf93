// RMSNorm of the prompt's rows: out = x / √(mean(x²) + ε) · gain.

override STRIDE: u32; // values between two rows
override HIDDEN: u32; // values in a row
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(0) var<storage, read> x: array<f32>; // [rows][STRIDE]
@group(0) @binding(1) var<storage, read> gain: array<f32>; // [HIDDEN]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [rows][STRIDE]

const THREADS = 64u;
var<workgroup> squares: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = workgroup.x * STRIDE;
  var sum = 0.0;
  for (var i = thread; i < HIDDEN; i += THREADS) {
    sum = fma(x[row + i], x[row + i], sum);
  }
  squares[thread] = sum;
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      squares[thread] += squares[thread + stride];
    }
  }
  workgroupBarrier();
  let scale = inverseSqrt(squares[0] / f32(HIDDEN) + EPSILON);
  for (var i = thread; i < HIDDEN; i += THREADS) {
    out[row + i] = x[row + i] * scale * gain[i];
  }
}
