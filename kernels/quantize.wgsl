// Packs rows of weights into BITS bits each, as lib/quantized.wgsl describes. A workgroup has a row, a thread
// four groups of it at a time.
//
// A group's largest weight falls on u = 0 if the scale fits it exactly; of the scales around that one the
// one with the least squared error is taken. All of it is computed in steps that have one right result on
// every device: exact products, single roundings with nothing to contract, integers. No division of floats.

override K8: u32;   // inputs / 8, rounded up; padding is zero
override BITS: u32; // 8 or 4

struct Job {
  row: u32,    // row of `packed` at which the first one goes
  tensor: u32, // what to write into `fault`
}

@group(0) @binding(1) var<storage, read_write> packed: array<u32>; // [rows of a part][row_words(BITS)]
@group(0) @binding(2) var<storage, read_write> fault: atomic<u32>; // a tensor with unusable weights; 0: none
@group(0) @binding(3) var<uniform> job: Job;

const TINY = 0x0d800000u; // 2^-100: groups of nothing larger become zeros
const HUGE = 0x71800000u; // 2^100: from here on, and for infinities and NaN, weights are unusable

// 2^BITS / s for a scale of three bits of mantissa, the quotient of mantissas cut to 23 bits.
fn inverse_step(s: u32) -> f32 {
  let quotient = bitcast<u32>(f32((1u << 26u) / (((s >> 20u) & 7u) | 8u)));
  let exponent = (s >> 23u) & 0xffu;
  return bitcast<f32>((quotient + ((104u + BITS - exponent) << 23u)) | (s & 0x80000000u));
}

// Eight weights times their row's scale, rounded to f32. An integer operation, with a zero that is no constant to a
// compiler, keeps the product from being contracted with what follows.
fn scaled(row: u32, k8: u32) -> Eight {
  let v = widen(row, k8);
  let s = row_scale(row);
  let zero = vec4u(k8 >> 31u);
  return Eight(
    bitcast<vec4f>(bitcast<vec4u>(s * v.lo) | zero),
    bitcast<vec4f>(bitcast<vec4u>(s * v.hi) | zero),
  );
}

// Writes a group's integers and returns the byte of its scale.
fn pack(row: u32, group: u32, start: u32, smallest: u32) -> u32 {
  let half = f32(1u << (BITS - 1u));
  let first = scaled(row, 2u * group);
  var second = Eight();
  if (2u * group + 1u < K8) {
    second = scaled(row, 2u * group + 1u);
  }
  let v = array<vec4f, 4>(first.lo, first.hi, second.lo, second.hi);
  var peak = 0.0;
  for (var i = 0u; i < 16u; i++) {
    let w = v[i / 4u][i % 4u];
    peak = select(peak, w, abs(w) > abs(peak));
  }
  let size = bitcast<u32>(peak) & 0x7fffffffu;
  let sign = select(0x80u, 0u, peak < 0.0);
  var best = 0u;
  if (size >= TINY) {
    // Errors are compared as integers, in units of 2^-(8 + BITS) of the peak's power of two.
    let unit = bitcast<f32>((262u + BITS - (size >> 23u)) << 23u);
    // Twice the peak, rounded to three bits of mantissa.
    let fit = i32((size + 0x87ffffu + ((size >> 20u) & 1u)) >> 20u) - i32(smallest >> 20u);
    var least = 0xffffffffu;
    for (var near = -2; near <= 3; near++) {
      let byte = sign | u32(clamp(fit + near, 0, 127));
      let s = (sign << 24u) | (smallest + ((byte & 0x7fu) << 20u));
      let inverse = inverse_step(s);
      let step = bitcast<f32>(s - (BITS << 23u));
      var error = 0u;
      for (var i = 0u; i < 4u; i++) {
        let q = clamp(round(v[i] * inverse), vec4f(-half), vec4f(half - 1.0));
        let e = min(vec4u(abs((v[i] - q * step) * unit)), vec4u(16000u));
        let squares = e * e;
        error += squares.x + squares.y + squares.z + squares.w;
      }
      if (error < least) {
        least = error;
        best = byte;
      }
    }
  }
  let inverse = inverse_step(((best & 0x80u) << 24u) | (smallest + ((best & 0x7fu) << 20u)));
  let usable = select(0.0, inverse, size >= TINY);
  var word = 0u;
  for (var i = 0u; i < 16u; i++) {
    let q = clamp(round(v[i / 4u][i % 4u] * usable), -half, half - 1.0);
    word |= u32(q + half) << (i * BITS % 32u);
    if ((i + 1u) * BITS % 32u == 0u) {
      packed[start + (group * 16u + i) * BITS / 32u] = word;
      word = 0u;
    }
  }
  return best;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = workgroup.x;
  let peak = bitcast<u32>(row_scale(row) * bitcast<f32>(row_peak(row, thread)));
  if (thread == 0u && peak >= HUGE) {
    atomicMax(&fault, job.tensor);
  }
  // Scales reach from 2^-13 to nearly 8 times the power of two of the row's peak; its own is 2 to 4 times.
  let smallest = select((peak & 0x7f800000u) - (13u << 23u), 0x3f800000u, peak < TINY);
  let start = (job.row + row) * row_words(BITS);
  for (var k8 = 8u * thread; k8 < 2u * groups(); k8 += 8u * THREADS) {
    var scales = 0u;
    for (var i = 0u; i < 4u && k8 / 2u + i < groups(); i++) {
      scales |= pack(row, k8 / 2u + i, start, smallest) << (8u * i);
    }
    packed[start + scale_word(BITS, k8 / 2u)] = scales;
  }
  let end = start + row_words(BITS) - 1u;
  let unused = start + scale_word(BITS, groups() + 3u) + thread;
  if (unused < end) {
    packed[unused] = 0u;
  }
  if (thread == 0u) {
    packed[end] = smallest;
  }
}
