// How attention reads keys and values in f16: a pair is a word, and four neighbours are a load of 16 bytes.

alias Cached = vec4u;

fn cached(at: u32) -> vec2f {
  return unpack2x16float(cache[at / 4u][at % 4u]);
}

// `at` is a multiple of four.
fn cached_four(at: u32) -> FourPairs {
  let w = cache[at / 4u];
  return FourPairs(unpack2x16float(w.x), unpack2x16float(w.y), unpack2x16float(w.z), unpack2x16float(w.w));
}
