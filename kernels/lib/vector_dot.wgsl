// Multiply-adds for subgroups of 4 or 8 lanes that are a CPU's vector registers. There a load costs each lane about as much
// as a dozen instructions, wherever it goes, so what counts is loads a multiply-add. Each lane has four weight rows, a quad
// (quad.wgsl), to itself; of eight values that meet them it holds one, or with four lanes two, and all lanes get them by
// broadcast. VECTOR and UPPER are those of vector_four.wgsl or vector_eight.wgsl.

fn add_value(sums: vec4f, a: f32, b: f32, c: f32, d: f32, value: f32) -> vec4f {
  return vec4f(fma(a, value, sums.x), fma(b, value, sums.y), fma(c, value, sums.z), fma(d, value, sums.w));
}

// The sums and the weights times eight values, in their order.
fn dot_lanes(w: Weights, lower: f32, upper: f32, sums: vec4f) -> vec4f {
  var s = add_value(sums, w.a.lo.x, w.b.lo.x, w.c.lo.x, w.d.lo.x, subgroupBroadcast(lower, 0u));
  s = add_value(s, w.a.lo.y, w.b.lo.y, w.c.lo.y, w.d.lo.y, subgroupBroadcast(lower, 1u));
  s = add_value(s, w.a.lo.z, w.b.lo.z, w.c.lo.z, w.d.lo.z, subgroupBroadcast(lower, 2u));
  s = add_value(s, w.a.lo.w, w.b.lo.w, w.c.lo.w, w.d.lo.w, subgroupBroadcast(lower, 3u));
  s = add_value(s, w.a.hi.x, w.b.hi.x, w.c.hi.x, w.d.hi.x, subgroupBroadcast(upper, UPPER + 0u));
  s = add_value(s, w.a.hi.y, w.b.hi.y, w.c.hi.y, w.d.hi.y, subgroupBroadcast(upper, UPPER + 1u));
  s = add_value(s, w.a.hi.z, w.b.hi.z, w.c.hi.z, w.d.hi.z, subgroupBroadcast(upper, UPPER + 2u));
  return add_value(s, w.a.hi.w, w.b.hi.w, w.c.hi.w, w.d.hi.w, subgroupBroadcast(upper, UPPER + 3u));
}
