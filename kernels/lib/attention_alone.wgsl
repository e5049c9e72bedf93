// Where threads share no keys.

fn sum_sharers(v: vec4f) -> vec4f {
  return v;
}
