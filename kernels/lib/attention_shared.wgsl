// The threads that share keys, within a subgroup of eight or more. Of four, two are neighbours, and two are four threads
// further on: threads i and i ^ 2 are the same sharers of two keys, and read the same of the queries. NVIDIA's GPUs hand
// that out to such pairs in half the time (from Volta on, its developers say).

fn sharer(thread: u32) -> u32 {
  if (SHARERS == 4u) {
    return thread % 2u + thread / 4u % 2u * 2u;
  }
  return thread % SHARERS;
}

fn key_of(thread: u32) -> u32 {
  if (SHARERS == 4u) {
    return thread / 2u % 2u + thread / 8u * 2u;
  }
  return thread / SHARERS;
}

fn sum_sharers(v: vec4f) -> vec4f {
  var sum = v;
  if (SHARERS >= 2u) { sum += subgroupShuffleXor(sum, 1u); }
  if (SHARERS == 4u) { sum += subgroupShuffleXor(sum, 4u); }
  return sum;
}
