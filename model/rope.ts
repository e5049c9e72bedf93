/**
 * The turns of the rotary position embedding (Su et al. 2021), cos and sin of position · frequency.
 *
 * Rounded the way the models were trained: transformers computes frequencies and angles in f32. The
 * cosine itself is taken in f64, because WGSL promises little about large angles.
 *
 * @module
 */
import type { Llama3Scaling, RopeScaling, YarnScaling } from "./rope_parameters.ts";

const f = Math.fround;

/**
 * The turns at each position.
 *
 * @param context Positions.
 * @param headDim Dimensions of a head, even.
 * @param theta config: `rope_theta`.
 * @param scaling config: `rope_scaling`.
 * @returns [context][headDim / 2] pairs of cos and sin.
 */
export function ropeTable(
  context: number,
  headDim: number,
  theta: number,
  scaling: RopeScaling | null,
): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const length = scaling?.type === "yarn" ? scaling.attentionFactor : 1;
  const table = new Float32Array(context * half * 2);
  for (const [i, frequency] of ropeFrequencies(headDim, theta, scaling).entries()) {
    for (let position = 0; position < context; position++) {
      const angle = f(position * frequency);
      table[(position * half + i) * 2] = length * Math.cos(angle);
      table[(position * half + i) * 2 + 1] = length * Math.sin(angle);
    }
  }
  return table;
}

/** Radians a position, for each pair of a head's dimensions: θ^(-2i / headDim), scaled. */
export function ropeFrequencies(
  headDim: number,
  theta: number,
  scaling: RopeScaling | null,
): Float32Array<ArrayBuffer> {
  const powers = Float32Array.from(
    { length: headDim / 2 },
    (_, i) => Math.pow(theta, f(2 * i / headDim)),
  );
  switch (scaling?.type) {
    case undefined:
      return powers.map((power) => 1 / power);
    case "linear":
      return powers.map((power) => f(1 / power) / scaling.factor);
    case "llama3":
      return powers.map((power) => llama3(f(1 / power), scaling));
    case "yarn":
      return yarn(powers, headDim, theta, scaling);
  }
}

/** A frequency of Llama 3.1, as in its reference implementation. */
function llama3(frequency: number, scaling: Llama3Scaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling;
  const wavelength = f(f(2 * Math.PI) / frequency);
  if (wavelength < f(originalMaxPositionEmbeddings / highFreqFactor)) return frequency;
  if (wavelength > f(originalMaxPositionEmbeddings / lowFreqFactor)) return frequency / factor;
  const fits = f(originalMaxPositionEmbeddings / wavelength);
  const kept = f(f(fits - lowFreqFactor) / (highFreqFactor - lowFreqFactor));
  return f(f(f(1 - kept) * frequency) / factor) + f(kept * frequency);
}

/** YaRN's frequencies (Peng et al. 2023, "NTK-by-parts"), from θ^(2i / headDim). */
function yarn(
  powers: Float32Array<ArrayBuffer>,
  headDim: number,
  theta: number,
  { factor, betaFast, betaSlow, truncate, originalMaxPositionEmbeddings }: YarnScaling,
): Float32Array<ArrayBuffer> {
  // The pair that turns so often in the original context.
  const pairOf = (turns: number) =>
    headDim * Math.log(originalMaxPositionEmbeddings / (turns * 2 * Math.PI)) /
    (2 * Math.log(theta));
  const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1);
  const width = low === high ? 0.001 : high - low;
  return powers.map((power, i) => {
    const ramp = Math.min(Math.max(f(f(i - f(low)) / f(width)), 0), 1);
    const kept = f(1 - ramp);
    const stretched = f(1 / f(factor * power));
    return f(stretched * f(1 - kept)) + f(f(1 / power) * kept);
  });
}
