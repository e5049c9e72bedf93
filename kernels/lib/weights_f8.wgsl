// Weights as the checkpoint stores them: E4M3, four a word, sixteen a 16-byte load, and a scale for each row. A byte is a
// sign, four bits of exponent, 7 too large, and three of mantissa; an exponent of zero means a subnormal number, as in IEEE
// 754. There are no infinities, and what is no number (0x7f, 0xff) does not come here: model/repack.ts refuses it.
//
// A row is its bytes, padded with zeros to whole sixteens; 12 bytes of zeros; the f32 bits of its scale times 2^8.

alias Words = vec4u;
alias Stored = Words;

const EIGHTS = 2u;

fn sixteens() -> u32 {
  return (K8 + 1u) / 2u;
}

// Where a row begins. Kept in step with rowBytes() in weight_types.ts.
fn row_start(row: u32) -> u32 {
  return row * (sixteens() + 1u);
}

fn fetch(row: u32, sixteen: u32) -> Stored {
  return words(row_start(row) + sixteen);
}

fn unpack(w: Stored, sixteen: u32, part: u32) -> Eight {
  return unpack_words(select(w.xy, w.zw, part == 1u));
}

fn widen(row: u32, k8: u32) -> Eight {
  let at = row_start(row) + k8 / 2u;
  let first = k8 % 2u * 2u;
  return unpack_words(vec2u(word(at, first), word(at, first + 1u)));
}

fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(word(row_start(row + 1u) - 1u, 3u));
}

fn unpack_words(w: vec2u) -> Eight {
  return Eight(bytes(w.x), bytes(w.y));
}

fn bytes(w: u32) -> vec4f {
  let even = upper_bytes(w << 8u);
  let odd = upper_bytes(w);
  return vec4f(even.x, odd.x, even.y, odd.y);
}

// The upper bytes of a word's halves, times 2^-8. One bit further down, the exponent and the mantissa are those of an f16,
// whose exponent is 15 too large; its subnormal numbers hold those of E4M3. So all 254 numbers are exact.
fn upper_bytes(w: u32) -> vec2f {
  return unpack_f16((w & 0x80008000u) | ((w & 0x7f007f00u) >> 1u));
}
