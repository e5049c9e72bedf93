// How the threads of attention load eight neighbours in the pool where subgroups are a CPU's vector registers of 8:
// each lane loads one, and all lanes take it from there. A load costs about as much as a dozen broadcasts, also
// where all lanes load the same (llvmpipe).

fn hold(at: u32, thread: u32) -> vec4f {
  return pool[at + thread % 8u];
}

fn take0(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 0u);
}

fn take1(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 1u);
}

fn take2(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 2u);
}

fn take3(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 3u);
}

fn take4(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 4u);
}

fn take5(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 5u);
}

fn take6(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 6u);
}

fn take7(held: vec4f, at: u32) -> vec4f {
  return subgroupBroadcast(held, 7u);
}
