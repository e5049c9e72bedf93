// Weights in 8 bits, four a word: see quantized.wgsl. quantized_groups.wgsl fetches them.

alias Words = vec4u;
const BITS = 8u;
const WORDS = 4u; // of a group

fn unpack(stored: Stored, group: u32, part: u32) -> Eight {
  return unpack_words(select(stored.w.xy, stored.w.zw, part == 1u), stored.scales, group);
}

fn widen(row: u32, k8: u32) -> Eight {
  let group = k8 / 2u;
  let at = row_start(row) + group;
  let first = k8 % 2u * 2u;
  return unpack_words(vec2u(word(at, first), word(at, first + 1u)), scales_of(row, group), group);
}

fn unpack_words(w: vec2u, scales: u32, group: u32) -> Eight {
  let s = scale(scales, group);
  return Eight(bytes(w.x, s, group), bytes(w.y, s, group));
}

fn bytes(w: u32, s: f32, group: u32) -> vec4f {
  const STEPS = vec4f(0x1p11, 0x1p3, 0x1p11, 0x1p3);
  let pairs = vec2u(w << 4u, w >> 12u);
  return weights_of(pairs.xxyy & vec4u(0xff0u, 0xff000u, 0xff0u, 0xff000u), STEPS, s, group);
}
