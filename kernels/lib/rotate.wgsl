// Rotary embedding (Su et al. 2021): dimensions i and i + head_dim / 2 of a query or a key are turned together.

override QUERY_BETA: f32; // 0: queries do not grow
override ORIGINAL: u32;   // positions of the context before it was stretched

// `turn`: the cosine and the sine of the angle, position times the pair's frequency.
fn rotate(v: vec2f, turn: vec2f) -> vec2f {
  return vec2f(fma(v.x, turn.x, -(v.y * turn.y)), fma(v.y, turn.x, v.x * turn.y));
}

// What a query is multiplied by, so that attention stays as sharp in a long text (Llama 4).
fn growth(position: u32) -> f32 {
  if (QUERY_BETA == 0.0) { // known when the kernel is compiled
    return 1.0;
  }
  return 1.0 + QUERY_BETA * log(f32(1u + position / ORIGINAL));
}
