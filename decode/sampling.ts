/**
 * How a token is chosen from its logits. kernels/sample.wgsl does it; here are its options.
 *
 * @module
 */

/**
 * How tokens are chosen. Names and order of application follow Hugging Face transformers. At temperature 0 nothing is drawn,
 * so that of the others `repetitionPenalty` alone counts.
 */
export interface SamplingOptions {
  /** Divides the logits before a token is drawn; 0 takes the likeliest token instead. 0 to 100; default 0. */
  readonly temperature?: number | undefined;
  /** Draw from this many likeliest tokens only, an integer from 0 to 2³² − 1; 0 is all of them. Default 0. */
  readonly topK?: number | undefined;
  /** Draw from the likeliest tokens that together have this probability, above 0 to 1. Default 1, all of them. */
  readonly topP?: number | undefined;
  /** Draw from tokens that are at least this share as likely as the likeliest, 0 to 1. Default 0. */
  readonly minP?: number | undefined;
  /**
   * Divides the positive logits of tokens that stand in prompt or answer already, and multiplies the
   * negative ones (Keskar et al. 2019, CTRL). 0.01 to 100; default 1, no penalty.
   */
  readonly repetitionPenalty?: number | undefined;
  /** Makes the draws: the same seed gives the same answer. An integer from 0 to 2³² − 1. Default 0. */
  readonly seed?: number | undefined;
}

/** A choice of which all is said. */
export type Sampling = { readonly [Name in keyof SamplingOptions]-?: number };

/** The likeliest token, always. */
export const GREEDY: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 0,
};

/** Whether the choice is the largest logit as the model made it, which choose.wgsl finds faster. */
export function isPlainArgmax(options: Sampling): boolean {
  return options.temperature === 0 && options.repetitionPenalty === 1;
}

/** Bytes of `Options` in kernels/sample.wgsl. */
export const SAMPLING_BYTES = 6 * 4;

/** Divided by less, logits would overflow; all noise is lost beside them long before. */
const LEAST_TEMPERATURE = 1e-30;

/** `Options` of kernels/sample.wgsl. */
export function samplingUniform(options: Sampling): ArrayBuffer {
  const bytes = new ArrayBuffer(SAMPLING_BYTES);
  const integers = new Uint32Array(bytes);
  const floats = new Float32Array(bytes);
  integers[0] = options.seed;
  floats[1] = options.temperature && Math.max(options.temperature, LEAST_TEMPERATURE);
  integers[2] = options.topK;
  floats[3] = options.topP;
  floats[4] = options.minP;
  floats[5] = options.repetitionPenalty;
  return bytes;
}

/** A bit for each token that stands in a text: word i has those of tokens 32 i to 32 i + 31. */
export function seenTokens(tokens: readonly number[], vocabSize: number): Uint32Array<ArrayBuffer> {
  const seen = new Uint32Array(Math.ceil(vocabSize / 32));
  for (const token of tokens) seen[token >> 5]! |= 1 << (token & 31);
  return seen;
}
