// Weights in 4 bits, eight a word: see quantized.wgsl.

@group(0) @binding(0) var<storage, read> weights: array<u32>; // [rows of this part][row_words(4)]

struct Stored {
  w: u32,
  scales: u32, // a word of four groups' scales
}

fn fetch(row: u32, k8: u32) -> Stored {
  let start = row * row_words(4u);
  return Stored(weights[start + k8], weights[start + scale_word(4u, k8)]);
}

fn unpack(stored: Stored, k8: u32) -> Eight {
  let s = scale(stored.scales, k8);
  let w = stored.w;
  // Each four bits in the top 4 bits of a mantissa.
  const MASK = 0x780000u;
  return Eight(
    spread(vec4u(w << 19u, w << 15u, w << 11u, w << 7u), MASK, s, k8),
    spread(vec4u(w << 3u, w >> 1u, w >> 5u, w >> 9u), MASK, s, k8),
  );
}

// The smallest scale of a row, which its sums are multiplied by.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(weights[(row + 1u) * row_words(4u) - 1u]);
}
