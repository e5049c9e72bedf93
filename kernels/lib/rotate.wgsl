// Rotary embedding (Su et al. 2021): dimensions i and i + head_dim / 2 of a query or a key are turned together.

// `turn`: the cosine and the sine of the angle, position · θ^(-2i / head_dim).
fn rotate(v: vec2f, turn: vec2f) -> vec2f {
  return vec2f(fma(v.x, turn.x, -(v.y * turn.y)), fma(v.y, turn.x, v.x * turn.y));
}
