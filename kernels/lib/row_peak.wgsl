// The largest value of a row of weights, as the bits of an f32 without its sign: infinities and NaN are larger than all
// numbers.

const THREADS = 64u; // of the workgroup

var<workgroup> peaks: array<u32, THREADS>;

fn magnitude(v: vec4f) -> u32 {
  let bits = bitcast<vec4u>(v) & vec4u(0x7fffffffu);
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// The workgroup's threads go through the row together.
fn row_peak(row: u32, thread: u32) -> u32 {
  var peak = 0u;
  for (var k8 = thread; k8 < K8; k8 += THREADS) {
    let v = widen(row, k8);
    peak = max(peak, max(magnitude(v.lo), magnitude(v.hi)));
  }
  peaks[thread] = peak;
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      peaks[thread] = max(peaks[thread], peaks[thread + stride]);
    }
  }
  workgroupBarrier();
  return peaks[0];
}
