// RMSNorm (Zhang and Sennrich 2019) fused into the product that follows it: the gain is applied to x
// before the product, the root mean square to the sums after it, since it is the same for the whole row.

override HIDDEN: f32; // values in a row, without padding
override EPSILON: f32; // config: rms_norm_eps

@group(0) @binding(3) var<storage, read> gain: array<vec4f>; // [2 · K8]

const NEEDS_SQUARES = true;

fn prepare(v: Eight, k8: u32) -> Eight {
  return Eight(v.lo * gain[2u * k8], v.hi * gain[2u * k8 + 1u]);
}

fn inverse_rms(squares: f32) -> f32 {
  return inverseSqrt(squares / HIDDEN + EPSILON);
}
