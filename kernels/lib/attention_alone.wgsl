// Where threads share no keys.

fn sharer(thread: u32) -> u32 {
  return 0u;
}

fn key_of(thread: u32) -> u32 {
  return thread;
}

fn sum_sharers(v: vec4f) -> vec4f {
  return v;
}
