// Gumbel noise that a counter makes: of the seed, a token's absolute position and the token alone.

// -ln(e), e exponentially distributed: e = -ln(1 - v), v uniform in (0, 1). Small e make large noise, so v keeps
// its precision towards 0, and there e is summed as a series, since log is not accurate close to 1.
fn gumbel(position: u32, token: u32) -> f32 {
  let bits = pcg3d(vec3u(options.seed, position, token)).x;
  let v = min((f32(bits) + 0.5) * 0x1p-32, 0x1.fffffep-1);
  let series = v * (1.0 + v * (1.0 / 2.0 + v * (1.0 / 3.0 + v * (1.0 / 4.0 + v * (1.0 / 5.0 + v / 6.0)))));
  return -log(select(-log(1.0 - v), series, v < 0.0625));
}

// Three words to three words that look random (Jarzynski and Olano 2020, "Hash Functions for GPU Rendering").
fn pcg3d(words: vec3u) -> vec3u {
  var v = words * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3u(16u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  return v;
}
