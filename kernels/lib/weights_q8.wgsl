// Weights in 8 bits, four a word: see quantized.wgsl.

@group(0) @binding(0) var<storage, read> weights: array<vec2u>; // [rows of this part][row_words(8) / 2]

fn widen(row: u32, k8: u32) -> Eight {
  let start = row * (row_words(8u) / 2u);
  let at = scale_word(8u, k8);
  let s = scale(weights[start + at / 2u][at % 2u], k8);
  let w = weights[start + k8];
  return Eight(spread(eights(w.x), s), spread(eights(w.y), s));
}

// The smallest scale of a row, which its sums are multiplied by.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(weights[(row + 1u) * (row_words(8u) / 2u) - 1u].y);
}

// Four bytes, each in the top 8 bits of a mantissa.
fn eights(w: u32) -> vec4u {
  return vec4u(w << 15u, w << 7u, w >> 1u, w >> 9u) & vec4u(0x7f8000u);
}
