// Weights in 8 bits, four a word: see quantized.wgsl.

@group(0) @binding(0) var<storage, read> weights: array<vec4u>; // [rows of this part][row_words(8) / 4]

const EIGHTS = 2u;

// A group.
struct Stored {
  w: vec4u,
  scales: u32, // a word of four groups' scales
}

fn row_start(row: u32) -> u32 {
  return row * (row_words(8u) / 4u);
}

fn scales_of(row: u32, group: u32) -> u32 {
  let at = scale_word(8u, group);
  return weights[row_start(row) + at / 4u][at % 4u];
}

fn fetch(row: u32, group: u32) -> Stored {
  return Stored(weights[row_start(row) + group], scales_of(row, group));
}

fn unpack(stored: Stored, group: u32, part: u32) -> Eight {
  return unpack_words(select(stored.w.xy, stored.w.zw, part == 1u), stored.scales, group);
}

fn widen(row: u32, k8: u32) -> Eight {
  let group = k8 / 2u;
  let at = row_start(row) + group;
  let first = k8 % 2u * 2u;
  return unpack_words(vec2u(weights[at][first], weights[at][first + 1u]), scales_of(row, group), group);
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

// The smallest scale of a row.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(weights[row_start(row + 1u) - 1u].w);
}
