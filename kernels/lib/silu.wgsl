// silu(v) = v · sigmoid(v). exp(-v) overflows to infinity for v below -88, where the quotient is rightly 0;
// WGSL lets a compiler assume there are no infinities, so the exponent is kept in range.
fn silu(v: f32) -> f32 {
  return v / (1.0 + exp(min(-v, 80.0)));
}
