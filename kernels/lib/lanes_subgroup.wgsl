// The sum over the LANES lanes that share a group of outputs, when they are one subgroup.

fn sum_lanes(v: vec4f, index: u32) -> vec4f {
  return subgroupAdd(v);
}
