// Words that are a texel of weights_in_texture.wgsl.

fn words(i: u32) -> vec4u {
  return texel(i);
}

fn word(i: u32, part: u32) -> u32 {
  return texel(i)[part];
}
