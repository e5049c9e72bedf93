// The sum over the LANES lanes that share a group of outputs, on a device without subgroups. Every lane
// adds in the same order, so the result does not depend on how many groups or rows there are.

// 64 = LANES · GROUPS, the threads of a workgroup; naga 29 panics on the product as an array's size.
var<workgroup> partial: array<vec4f, 64>;

fn sum_lanes(v: vec4f, index: u32) -> vec4f {
  partial[index] = v;
  workgroupBarrier();
  let first = index - index % LANES;
  var sum = partial[first];
  for (var i = 1u; i < LANES; i++) {
    sum += partial[first + i];
  }
  workgroupBarrier();
  return sum;
}
