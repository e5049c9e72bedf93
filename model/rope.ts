/**
 * The turns of the rotary position embedding (Su et al. 2021), cos and sin of position · θ^(-2i/d).
 *
 * Rounded the way the models were trained: transformers computes frequencies and angles in f32. The
 * cosine itself is taken in f64, because WGSL promises little about large angles.
 *
 * @param context Positions.
 * @param headDim Dimensions of a head, even.
 * @param theta config: `rope_theta`.
 * @returns [context][headDim / 2] pairs of cos and sin.
 */
export function ropeTable(
  context: number,
  headDim: number,
  theta: number,
): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const table = new Float32Array(context * half * 2);
  for (let i = 0; i < half; i++) {
    const frequency = Math.fround(1 / Math.fround(Math.pow(theta, Math.fround(2 * i / headDim))));
    for (let position = 0; position < context; position++) {
      const angle = Math.fround(position * frequency);
      table[(position * half + i) * 2] = Math.cos(angle);
      table[(position * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}
