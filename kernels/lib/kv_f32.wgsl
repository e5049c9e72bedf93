// Keys and values in f32. Dimensions i and i + head_dim / 2, which rotate together, stand side by side.

alias Pair = vec2f;

fn pack_pair(v: vec2f) -> Pair {
  return v;
}
