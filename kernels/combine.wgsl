// Puts the chunks of attend.wgsl together, in the order of their positions:
// out = Σ_c e^(peak_c - peak) · sum_c / Σ_c e^(peak_c - peak) · mass_c

override HEADS: u32;
override HALF: u32;   // head_dim / 2
override SLOTS: u32;  // chunks a row can see at most
override WINDOW: u32; // config: sliding_window
override STRIDE: u32; // values between two rows of the output

const CHUNK = 128u;

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> sums: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS][HALF]
@group(0) @binding(2) var<storage, read> peaks: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS]: peak, mass
@group(0) @binding(3) var<storage, read_write> attention: array<f32>; // [MAX_ROWS][STRIDE], in planes

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  for (var row = workgroup.y; row < rows.count; row += workgroups.y) {
    combine(row, workgroup.x, thread);
  }
}

fn combine(row: u32, head: u32, thread: u32) {
  let position = rows.base + rows.depth[row];
  let start = select(0u, position + 1u - WINDOW, position >= WINDOW);
  let chunks = position / CHUNK - start / CHUNK + 1u;
  let at = (row * HEADS + head) * SLOTS;
  var peak = peaks[at].x;
  for (var c = 1u; c < chunks; c++) {
    peak = max(peak, peaks[at + c].x);
  }
  for (var i = thread; i < HALF; i += 64u) {
    var sum = vec2f();
    var mass = 0.0;
    for (var c = 0u; c < chunks; c++) {
      let scale = exp(peaks[at + c].x - peak);
      sum = fma(vec2f(scale), sums[(at + c) * HALF + i], sum);
      mass = fma(scale, peaks[at + c].y, mass);
    }
    let out = head * 2u * HALF + i;
    attention[row * STRIDE + in_planes(out, STRIDE)] = sum.x / mass;
    attention[row * STRIDE + in_planes(out + HALF, STRIDE)] = sum.y / mass;
  }
}
