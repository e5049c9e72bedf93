// The residual stream of a prompt's rows.

@group(0) @binding(3) var<storage, read_write> residual: array<vec4f>; // [rows][2 · K8]

// Sets a quad of a row.
fn keep(row: u32, quad: u32, v: vec4f) {
  residual[row * 2u * K8 + quad] = v;
}
