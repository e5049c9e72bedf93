// Puts the chunks of attend.wgsl together:
// out = Σ_c e^(peak_c - peak) · sum_c / Σ_c e^(peak_c - peak) · mass_c
//
// TILE threads have a head's pairs; where there are more, they take the chunks in turns, and what they have is added up
// in the end. The first of the row's chunks is the first thread's: the order of sums knows the row's position alone.

override HEADS: u32;
override HALF: u32;   // head_dim / 2
override SLOTS: u32;  // chunks a row can see at most
override STRIDE: u32; // values between two rows of the output
override TILE: u32;      // a power of two, at least HALF
override COMBINERS: u32; // threads of a workgroup: TILE, or a power of two times as many

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> sums: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS][HALF]
@group(0) @binding(2) var<storage, read> peaks: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS]: peak, mass
@group(0) @binding(3) var<storage, read_write> attention: array<f32>; // [MAX_ROWS][STRIDE], in planes

// What threads find: peaks, and sums with their masses.
var<workgroup> found_peaks: array<f32, COMBINERS>;
var<workgroup> found: array<vec3f, COMBINERS>;
// Of COMBINERS chunks: see add_chunk().
var<workgroup> scales: array<vec2f, COMBINERS>;

@compute @workgroup_size(COMBINERS)
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
  let chunks = position / CHUNK - window_start(position) / CHUNK + 1u;
  let at = (row * HEADS + head) * SLOTS;
  var sum: vec3f;
  if (COMBINERS == TILE) {
    sum = combine_alone(at, chunks, min(thread, HALF - 1u));
  } else {
    sum = combine_together(at, chunks, min(thread % TILE, HALF - 1u), thread);
  }
  if (thread < HALF) {
    let out = head * 2u * HALF + thread;
    attention[row * STRIDE + in_planes(out, STRIDE)] = sum.x / sum.z;
    attention[row * STRIDE + in_planes(out + HALF, STRIDE)] = sum.y / sum.z;
  }
}

// Both return the sums of a pair of dimensions, and the mass; the second to the first TILE threads.

// On a CPU barriers are dear: llvmpipe takes half as long again with the other way, even where it has one chunk.
fn combine_alone(at: u32, chunks: u32, i: u32) -> vec3f {
  var peak = peaks[at].x;
  for (var c = 1u; c < chunks; c++) {
    peak = max(peak, peaks[at + c].x);
  }
  var sum = vec3f();
  for (var c = 0u; c < chunks; c++) {
    let scale = exp(peaks[at + c].x - peak);
    sum = add_chunk(sum, vec2f(scale, scale * peaks[at + c].y), sums[(at + c) * HALF + i]);
  }
  return sum;
}

// On a GPU each peak is looked at once, and several chunks' sums are asked for at once.
fn combine_together(at: u32, chunks: u32, i: u32, thread: u32) -> vec3f {
  let peak = highest_peak(at, chunks, thread);
  let parts = COMBINERS / TILE;
  var sum = vec3f();
  for (var first = 0u; first < chunks; first += COMBINERS) {
    let count = min(COMBINERS, chunks - first);
    if (thread < count) {
      let chunk = peaks[at + first + thread];
      let scale = exp(chunk.x - peak);
      scales[thread] = vec2f(scale, scale * chunk.y);
    }
    workgroupBarrier();
    let origin = (at + first) * HALF + i;
    var c = thread / TILE;
    for (; c + 3u * parts < count; c += 4u * parts) {
      let s0 = sums[origin + c * HALF];
      let s1 = sums[origin + (c + parts) * HALF];
      let s2 = sums[origin + (c + 2u * parts) * HALF];
      let s3 = sums[origin + (c + 3u * parts) * HALF];
      sum = add_chunk(sum, scales[c], s0);
      sum = add_chunk(sum, scales[c + parts], s1);
      sum = add_chunk(sum, scales[c + 2u * parts], s2);
      sum = add_chunk(sum, scales[c + 3u * parts], s3);
    }
    for (; c < count; c += parts) {
      sum = add_chunk(sum, scales[c], sums[origin + c * HALF]);
    }
    workgroupBarrier();
  }
  for (var stride = COMBINERS / 2u; stride >= TILE; stride /= 2u) {
    found[thread] = sum;
    workgroupBarrier();
    if (thread < stride) {
      sum += found[thread + stride];
    }
    workgroupBarrier();
  }
  return sum;
}

// `scale`: what a chunk's sum is multiplied by, and its mass so multiplied.
fn add_chunk(sum: vec3f, scale: vec2f, chunk: vec2f) -> vec3f {
  return vec3f(fma(vec2f(scale.x), chunk, sum.xy), sum.z + scale.y);
}

fn highest_peak(at: u32, chunks: u32, thread: u32) -> f32 {
  let last = chunks - 1u;
  var peak = peaks[at + min(thread, last)].x;
  for (var c = thread + COMBINERS; c < chunks; c += COMBINERS) {
    peak = max(peak, peaks[at + c].x);
  }
  found_peaks[thread] = peak;
  for (var stride = COMBINERS / 2u; stride > 0u; stride /= 2u) {
    if (stride <= last) { // otherwise the threads below it have seen all
      workgroupBarrier();
      if (thread < stride) {
        peak = max(peak, found_peaks[thread + stride]);
        found_peaks[thread] = peak;
      }
    }
  }
  workgroupBarrier();
  return found_peaks[0];
}
