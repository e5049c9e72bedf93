// Keys and values in f16. Dimensions i and i + head_dim / 2, which rotate together, share a word.

alias Pair = u32;

fn pack_pair(v: vec2f) -> Pair {
  return pack_f16(v);
}
