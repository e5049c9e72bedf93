// Weights in 4 bits, eight a word: see quantized.wgsl. quantized_groups.wgsl fetches them.

alias Words = vec2u;
const BITS = 4u;
const WORDS = 2u; // of a group

fn unpack(stored: Stored, group: u32, part: u32) -> Eight {
  return unpack_word(stored.w[part], stored.scales, group);
}

fn widen(row: u32, k8: u32) -> Eight {
  let group = k8 / 2u;
  return unpack_word(word(row_start(row) + group, k8 % 2u), scales_of(row, group), group);
}

fn unpack_word(w: u32, scales: u32, group: u32) -> Eight {
  let s = scale(scales, group);
  return Eight(nibbles(w << 4u, s, group), nibbles(w >> 12u, s, group));
}

// The four in bits 4 to 19 of a word.
fn nibbles(w: u32, s: f32, group: u32) -> vec4f {
  const STEPS = vec4f(0x1p15, 0x1p11, 0x1p7, 0x1p3);
  return weights_of(vec4u(w) & vec4u(0xf0u, 0xf00u, 0xf000u, 0xf0000u), STEPS, s, group);
}
