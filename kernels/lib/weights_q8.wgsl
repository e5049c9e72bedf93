// Weights in 8 bits, four a word: see quantized.wgsl.

@group(0) @binding(0) var<storage, read> weights: array<vec2u>; // [rows of this part][row_words(8) / 2]

struct Stored {
  w: vec2u,
  scales: u32, // a word of four groups' scales
}

fn fetch(row: u32, k8: u32) -> Stored {
  let start = row * (row_words(8u) / 2u);
  let at = scale_word(8u, k8);
  return Stored(weights[start + k8], weights[start + at / 2u][at % 2u]);
}

fn unpack(stored: Stored, k8: u32) -> Eight {
  let s = scale(stored.scales, k8);
  const MASK = 0x7f8000u;
  return Eight(spread(bytes(stored.w.x), MASK, s, k8), spread(bytes(stored.w.y), MASK, s, k8));
}

// The smallest scale of a row, which its sums are multiplied by.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(weights[(row + 1u) * (row_words(8u) / 2u) - 1u].y);
}

// Four bytes, each with its bits in the top 8 of a mantissa, among others.
fn bytes(w: u32) -> vec4u {
  return vec4u(w << 15u, w << 7u, w >> 1u, w >> 9u);
}
