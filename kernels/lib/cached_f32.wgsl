// How attention reads keys and values in f32: two pairs are a load of 16 bytes.

alias Cached = vec4f;

fn cached(at: u32) -> vec2f {
  let first = at % 2u * 2u;
  return vec2f(cache[at / 2u][first], cache[at / 2u][first + 1u]);
}

// `at` is a multiple of four.
fn cached_four(at: u32) -> FourPairs {
  let low = cache[at / 2u];
  let high = cache[at / 2u + 1u];
  return FourPairs(low.xy, low.zw, high.xy, high.zw);
}
