// Weights in f32, eight in two 16-byte loads. A row is 2 · K8 of these, padded with zeros.

alias Words = vec4u;
alias Stored = Eight;

const EIGHTS = 1u;

fn fetch(row: u32, k8: u32) -> Stored {
  let i = row * K8 + k8;
  return Eight(bitcast<vec4f>(words(2u * i)), bitcast<vec4f>(words(2u * i + 1u)));
}

fn unpack(w: Stored, k8: u32, part: u32) -> Eight {
  return w;
}

fn widen(row: u32, k8: u32) -> Eight {
  return unpack(fetch(row, k8), k8, 0u);
}

fn row_scale(row: u32) -> f32 {
  return 1.0;
}
