// The residual stream of a pass's rows, and what the norm that comes next needs of it. Who changes the stream computes that
// once; the product that follows, thousands of workgroups wide, would do so for each of its quads.

override STRIDE: u32; // values in a row, padded with zeros to sixteens

@group(0) @binding(3) var<storage, read_write> residual: array<vec4f>; // [MAX_ROWS][STRIDE / 4]
@group(0) @binding(4) var<storage, read_write> gained: array<vec4f>; // [MAX_ROWS][STRIDE / 4] in planes: residual · gain
@group(0) @binding(5) var<storage, read_write> squares: array<f32>; // [MAX_ROWS][STRIDE / 4]: Σ residual² of a quad
@group(0) @binding(6) var<storage, read> gain: array<vec4f>; // [quads], of the norm that comes next

// Sets a quad of a row.
fn keep(row: u32, quad: u32, v: vec4f) {
  residual[row * (STRIDE / 4u) + quad] = v;
  gained[row * (STRIDE / 4u) + plane_quad(quad, STRIDE)] = v * gain[quad];
  squares[row * (STRIDE / 4u) + quad] = fma(v.w, v.w, fma(v.z, v.z, fma(v.y, v.y, v.x * v.x)));
}
