// Weights of few bits. Sixteen neighbours along the summed dimension are a group with one scale S, and a
// weight is an integer u of BITS bits that stands for
//
//   (u / 2^BITS - 1/2) · S
//
// A scale is a byte: its sign, four bits of exponent and three of mantissa, the exponent counted from the
// row's smallest. Small groups with coarse scales lose less than larger ones with fine scales in the same
// memory (random normal weights, error relative to their size: 7.3% in 4.5 bits a weight, where groups of 32
// with 16-bit scales lose 8.1%), and no weight's size is out of range, as it would be for a scale in f16.
//
// A row is, in words: its integers, the first in the lowest bits; a byte for each group's scale; zeros up to
// 16 bytes less a word; the f32 bits of the smallest scale, a power of two.
//
// (u / 2^BITS - 1/2) · S is exact in f32, so that every way to compute it gives the same bits, but for the sign
// of a zero. Products meet weights relative to the row's smallest scale and multiply by it in the end, which saves a load.

fn groups() -> u32 {
  return (K8 + 1u) / 2u;
}

// Words of a row. Kept in step with rowBytes() in weight_types.ts.
fn row_words(bits: u32) -> u32 {
  return (groups() * (2u * bits + 1u) + 4u + 15u) / 16u * 4u;
}

// The word of a row in which a group's scale lies.
fn scale_word(bits: u32, group: u32) -> u32 {
  return groups() * bits / 2u + group / 4u;
}

// The scale of a group relative to the row's smallest, from its word.
fn scale(word: u32, group: u32) -> f32 {
  let byte = word >> (group % 4u * 8u);
  return bitcast<f32>(((byte & 0x80u) << 24u) | (0x3f800000u + ((byte & 0x7fu) << 20u)));
}

// Four weights from their integers, each at some place in bits 4 to 19 of a word of its own. There it belongs to a
// mantissa: (1 + u · 2^(place - 23)) · step · s, less (step + 1/2) · s, where a step is 2^(23 - BITS - place). A shift moves
// all integers of half a word into place, not one. Products and differences are exact on their own, from bit 4 on: a scale
// has four bits, and not every device's fma rounds only once (SwiftShader's rounds twice).
fn weights_of(integers: vec4u, steps: vec4f, s: f32, group: u32) -> vec4f {
  // The bits of 1, in a form that is no constant to a compiler: NVIDIA's has an instruction for (a & b) | c, in which
  // only one of b and c may be constant (ptxas for an H100, two groups of four rows of q4: 670 instructions instead of 796).
  let one = 0x3f800000u | (group >> 31u);
  return fma(bitcast<vec4f>(integers | vec4u(one)), s * steps, s * (-0.5 - steps));
}
