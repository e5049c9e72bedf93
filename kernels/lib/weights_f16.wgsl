// Weights as the checkpoint stores them: f16, two a word, eight a 16-byte load. A row is K8 of these,
// padded with zeros.

alias Words = vec4u;
alias Stored = Words;

const EIGHTS = 1u;

fn fetch(row: u32, k8: u32) -> Stored {
  return words(row * K8 + k8);
}

fn unpack(w: Stored, k8: u32, part: u32) -> Eight {
  return Eight(
    vec4f(unpack_f16(w.x), unpack_f16(w.y)),
    vec4f(unpack_f16(w.z), unpack_f16(w.w)),
  );
}

fn widen(row: u32, k8: u32) -> Eight {
  return unpack(fetch(row, k8), k8, 0u);
}

fn row_scale(row: u32) -> f32 {
  return 1.0;
}
