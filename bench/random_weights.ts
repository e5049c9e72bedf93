/**
 * Made-up weights of a model's real shape, so that speed can be measured without a download.
 *
 * @module
 */
import type { MistralConfig } from "../model/config.ts";
import { requiredTensors } from "../model/required_tensors.ts";
import type { WeightSource } from "../model/weights.ts";

/** Bytes of noise that are made; weights repeat them at odd places. */
const NOISE_BYTES = 32 << 20;

/**
 * Weights in bf16: small random numbers for matrices, as wide as keeps the activations' size, and gains of 1.
 *
 * @param seed Makes the numbers.
 */
export function randomWeights(config: MistralConfig, seed = 1): WeightSource {
  const noise = bf16Noise(seed);
  const tensors = new Map(
    requiredTensors(config).map(({ name, shape }) => {
      const elements = shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: "BF16" as const, byteLength: 2 * elements, shape }];
    }),
  );
  let next = seed;
  const offsets = new Map([...tensors.keys()].map((name) => {
    next = Math.imul(next, 1664525) + 1013904223;
    return [name, (next >>> 0) % (NOISE_BYTES / 2) * 2];
  }));
  return {
    config,
    tensors,
    read(name, byteOffset, into) {
      const { shape } = tensors.get(name)!;
      if (shape.length === 1) {
        new Uint16Array(into.buffer, into.byteOffset, into.byteLength / 2).fill(0x3f80); // 1
        return Promise.resolve();
      }
      for (let done = 0; done < into.length;) {
        const from = (offsets.get(name)! + byteOffset + done) % NOISE_BYTES;
        const piece = noise.subarray(from, from + into.length - done);
        into.set(piece, done);
        done += piece.length;
      }
      return Promise.resolve();
    },
  };
}

/** Random bf16 values of either sign, 2⁻⁸ to 2⁻⁶ in size. */
function bf16Noise(seed: number): Uint8Array {
  const values = new Uint16Array(NOISE_BYTES / 2);
  let state = seed | 1;
  for (let i = 0; i < values.length; i++) {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const sign = state & 0x8000;
    const exponent = 119 + (state >>> 16 & 1);
    values[i] = sign | exponent << 7 | state & 0x7f;
  }
  return new Uint8Array(values.buffer);
}
