// Numbers in f16, two a word, as WGSL converts them: core WGSL and exact when read, so no optional feature is needed.

fn pack_f16(v: vec2f) -> u32 {
  return pack2x16float(v);
}

fn unpack_f16(w: u32) -> vec2f {
  return unpack2x16float(w);
}
