// Weights in f32, eight in two 16-byte loads.

@group(0) @binding(0) var<storage, read> weights: array<vec4f>; // [rows of this part][2 · K8]

alias Stored = Eight;

fn fetch(row: u32, k8: u32) -> Stored {
  let i = row * K8 + k8;
  return Eight(weights[2u * i], weights[2u * i + 1u]);
}

fn unpack(w: Stored, k8: u32) -> Eight {
  return w;
}

// What a row is multiplied by after it has been summed.
fn row_scale(row: u32) -> f32 {
  return 1.0;
}
