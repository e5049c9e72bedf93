// Numbers in f16, two a word, for devices without WGSL's conversions (`convertsF16`). A half is a sign, five bits of
// exponent, 15 too large, and ten of mantissa; an exponent of 0 means a subnormal number, one of 31 infinity or no number.
// An f32 has eight bits of exponent, 127 too large, and 23 of mantissa. No f32 here is subnormal, which a device may take
// for zero.

const EXPONENTS_APART = 0x38000000u; // 127 - 15, where an f32 has its exponent

// Rounds to the nearest half, of two the even one, as IEEE 754 does.
fn pack_f16(v: vec2f) -> u32 {
  let signs = (bitcast<vec2u>(v) >> vec2u(16u)) & vec2u(0x8000u);
  let size = bitcast<vec2u>(v) & vec2u(0x7fffffffu);
  let even = (size >> vec2u(13u)) & vec2u(1u);
  let normal = (size - EXPONENTS_APART + 0xfffu + even) >> vec2u(13u); // up to 65520, and beyond it infinity
  let subnormal = vec2u(round(min(abs(v), vec2f(0x1p-14)) * 0x1p24));
  let number = min(select(normal, subnormal, size < vec2u(0x38800000u)), vec2u(0x7c00u));
  let halves = signs | select(number, vec2u(0x7e00u), size > vec2u(0x7f800000u));
  return halves.x | (halves.y << 16u);
}

fn unpack_f16(w: u32) -> vec2f {
  let halves = vec2u(w & 0xffffu, w >> 16u);
  let size = halves & vec2u(0x7fffu);
  let more = select(vec2u(0u), vec2u(EXPONENTS_APART), size >= vec2u(0x7c00u));
  let normal = (size << vec2u(13u)) + EXPONENTS_APART + more;
  let subnormal = bitcast<vec2u>(vec2f(size) * 0x1p-24);
  let number = select(normal, subnormal, size < vec2u(0x400u));
  return bitcast<vec2f>(number | ((halves & vec2u(0x8000u)) << vec2u(16u)));
}
