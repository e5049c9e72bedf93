// Weights as the checkpoint stores them: bf16, two a word, eight a 16-byte load. bf16 is the upper half
// of an f32, so widening is exact. A row is K8 words of this size, padded with zeros.

alias Words = vec4u;
alias Stored = Words;

const EIGHTS = 1u;

fn fetch(row: u32, k8: u32) -> Stored {
  return words(row * K8 + k8);
}

fn unpack(w: Stored, k8: u32, part: u32) -> Eight {
  return Eight(
    bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u)),
    bitcast<vec4f>(vec4u(w.z << 16u, w.z & 0xffff0000u, w.w << 16u, w.w & 0xffff0000u)),
  );
}

fn widen(row: u32, k8: u32) -> Eight {
  return unpack(fetch(row, k8), k8, 0u);
}

fn row_scale(row: u32) -> f32 {
  return 1.0;
}
