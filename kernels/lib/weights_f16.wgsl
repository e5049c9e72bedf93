// Weights as the checkpoint stores them: f16, two a word, eight a 16-byte load. unpack2x16float is core
// WGSL and exact, so no optional feature is needed.

@group(0) @binding(0) var<storage, read> weights: array<vec4u>; // [rows of this part][K8]

alias Stored = vec4u;

const EIGHTS = 1u;

fn fetch(row: u32, k8: u32) -> Stored {
  return weights[row * K8 + k8];
}

fn unpack(w: Stored, k8: u32, part: u32) -> Eight {
  return Eight(
    vec4f(unpack2x16float(w.x), unpack2x16float(w.y)),
    vec4f(unpack2x16float(w.z), unpack2x16float(w.w)),
  );
}

fn widen(row: u32, k8: u32) -> Eight {
  return unpack(fetch(row, k8), k8, 0u);
}

fn row_scale(row: u32) -> f32 {
  return 1.0;
}
