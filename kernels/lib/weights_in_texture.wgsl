// Weights in a texture, texel after texel: llvmpipe loads from a buffer word by word and lane by lane, and from a texture a
// whole texel for each lane, which takes a quarter of the time (Mesa 22.3, a CPU without AVX-512).

const TEXELS = 1024u; // in a row of the texture; kept in step with model/weight_textures.ts

@group(0) @binding(0) var weights: texture_2d<u32>; // [rows of this part · bytes of a row / 16 / TEXELS][TEXELS][4]

fn texel(i: u32) -> vec4u {
  return textureLoad(weights, vec2u(i % TEXELS, i / TEXELS), 0);
}
