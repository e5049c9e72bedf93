// Words that are half a texel of weights_in_texture.wgsl.

fn words(i: u32) -> vec2u {
  let both = texel(i / 2u);
  return select(both.xy, both.zw, i % 2u == 1u);
}

fn word(i: u32, part: u32) -> u32 {
  return texel(i / 2u)[i % 2u * 2u + part];
}
