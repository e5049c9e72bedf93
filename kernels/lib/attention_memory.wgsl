// How the threads of attention load eight neighbours in the pool: one after another.

fn hold(at: u32, thread: u32) -> vec4f {
  return vec4f();
}

fn take0(held: vec4f, at: u32) -> vec4f {
  return pool[at];
}

fn take1(held: vec4f, at: u32) -> vec4f {
  return pool[at + 1u];
}

fn take2(held: vec4f, at: u32) -> vec4f {
  return pool[at + 2u];
}

fn take3(held: vec4f, at: u32) -> vec4f {
  return pool[at + 3u];
}

fn take4(held: vec4f, at: u32) -> vec4f {
  return pool[at + 4u];
}

fn take5(held: vec4f, at: u32) -> vec4f {
  return pool[at + 5u];
}

fn take6(held: vec4f, at: u32) -> vec4f {
  return pool[at + 6u];
}

fn take7(held: vec4f, at: u32) -> vec4f {
  return pool[at + 7u];
}
