// The sum over SHARERS neighbouring threads that share keys, within a subgroup.

fn sum_sharers(v: vec4f) -> vec4f {
  var sum = v;
  if (SHARERS >= 2u) { sum += subgroupShuffleXor(sum, 1u); }
  if (SHARERS >= 4u) { sum += subgroupShuffleXor(sum, 2u); }
  return sum;
}
