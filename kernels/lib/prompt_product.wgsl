// What all ways to multiply a chunk of a prompt share:
//   out[row][part.column + n] (+)= Σ_k a[row][k] · weights[n][k]

override K8: u32;     // summed dimension / 8, rounded up; padding is zero on both sides
override STRIDE: u32; // values between two rows of out
override ADD: bool;   // add to what out holds (the residual) or replace it

struct Part {
  column: u32, // where the part's outputs begin in a row of out
  count: u32,  // outputs of this part
}

struct Span {
  rows: u32, // rows of a
}

@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [rows][STRIDE]
@group(0) @binding(3) var<uniform> part: Part;
@group(0) @binding(4) var<uniform> span: Span;

fn store(row: u32, n: u32, sum: f32) {
  if (row < span.rows && n < part.count) {
    let i = row * STRIDE + part.column + n;
    out[i] = select(sum, out[i] + sum, ADD);
  }
}
