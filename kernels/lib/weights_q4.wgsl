// Weights in 4 bits, eight a word: see quantized.wgsl.

@group(0) @binding(0) var<storage, read> weights: array<vec2u>; // [rows of this part][row_words(4) / 2]

const EIGHTS = 2u;

// A group.
struct Stored {
  w: vec2u,
  scales: u32, // a word of four groups' scales
}

fn row_start(row: u32) -> u32 {
  return row * (row_words(4u) / 2u);
}

fn scales_of(row: u32, group: u32) -> u32 {
  let at = scale_word(4u, group);
  return weights[row_start(row) + at / 2u][at % 2u];
}

fn fetch(row: u32, group: u32) -> Stored {
  return Stored(weights[row_start(row) + group], scales_of(row, group));
}

fn unpack(stored: Stored, group: u32, part: u32) -> Eight {
  return unpack_word(stored.w[part], stored.scales, group);
}

fn widen(row: u32, k8: u32) -> Eight {
  let group = k8 / 2u;
  return unpack_word(weights[row_start(row) + group][k8 % 2u], scales_of(row, group), group);
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

// The smallest scale of a row.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(weights[row_start(row + 1u) - 1u].y);
}
