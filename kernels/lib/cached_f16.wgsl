// How attention reads keys and values in f16: a pair is a word, and four neighbours are a load of 16 bytes.

alias Cached = vec4u;

fn cached(at: u32) -> vec2f {
  return unpack_f16(cache[at / 4u][at % 4u]);
}

// `at` is a multiple of four.
fn cached_four(at: u32) -> FourPairs {
  let w = cache[at / 4u];
  return FourPairs(unpack_f16(w.x), unpack_f16(w.y), unpack_f16(w.z), unpack_f16(w.w));
}
