// The sum over the LANES lanes that share a group of outputs, when a subgroup has as many or more: the driver picks
// among several sizes, and does not say which. LANES neighbours exchange what they have, so the order does not
// depend on the pick.

fn sum_lanes(v: vec4f, index: u32) -> vec4f {
  var sum = v;
  if (LANES > 64u) { sum += subgroupShuffleXor(sum, 64u); }
  if (LANES > 32u) { sum += subgroupShuffleXor(sum, 32u); }
  if (LANES > 16u) { sum += subgroupShuffleXor(sum, 16u); }
  if (LANES > 8u) { sum += subgroupShuffleXor(sum, 8u); }
  if (LANES > 4u) { sum += subgroupShuffleXor(sum, 4u); }
  sum += subgroupShuffleXor(sum, 2u);
  return sum + subgroupShuffleXor(sum, 1u);
}
