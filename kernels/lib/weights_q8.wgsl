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
  return Eight(spread(eights(stored.w.x), s), spread(eights(stored.w.y), s));
}

// The smallest scale of a row, which its sums are multiplied by.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(weights[(row + 1u) * (row_words(8u) / 2u) - 1u].y);
}

// Four bytes, each in the top 8 bits of a mantissa.
fn eights(w: u32) -> vec4u {
  return vec4u(w << 15u, w << 7u, w >> 1u, w >> 9u) & vec4u(0x7f8000u);
}
