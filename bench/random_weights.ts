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

/** The one scale of made-up weights in FP8, and its name. */
const SCALE = 2 ** -7;
const SCALE_NAME = "weight_scale";

/**
 * Weights in bf16: small random numbers for matrices, as wide as keeps the activations' size, and gains of 1.
 *
 * @param dtype In fp8 the layers' matrices are in F8, as is usual.
 * @param seed Makes the numbers.
 */
export function randomWeights(
  config: MistralConfig,
  dtype: "bf16" | "fp8" = "bf16",
  seed = 1,
): WeightSource {
  const noise = { BF16: bf16Noise(seed), F8: fp8Noise(seed) };
  const tensors = new Map<string, MadeUp>(
    requiredTensors(config).map(({ name, shape }) => {
      const elements = shape.reduce((product, size) => product * size, 1);
      return dtype === "fp8" && name.includes("_proj")
        ? [name, { dtype: "F8", byteLength: elements, shape, scales: SCALE_NAME }]
        : [name, { dtype: "BF16", byteLength: 2 * elements, shape }];
    }),
  );
  let next = seed;
  const offsets = new Map([...tensors.keys()].map((name) => {
    next = Math.imul(next, 1664525) + 1013904223;
    return [name, (next >>> 0) % (NOISE_BYTES / 2) * 2];
  }));
  return {
    config,
    tensors: new Map<string, Stored>([...tensors, [SCALE_NAME, { dtype: "F32", byteLength: 4 }]]),
    read(name, byteOffset, into) {
      if (name === SCALE_NAME) {
        into.set(new Uint8Array(Float32Array.of(SCALE).buffer));
        return Promise.resolve();
      }
      const { shape, dtype } = tensors.get(name)!;
      if (shape.length === 1) {
        new Uint16Array(into.buffer, into.byteOffset, into.byteLength / 2).fill(0x3f80); // 1
        return Promise.resolve();
      }
      for (let done = 0; done < into.length;) {
        const from = (offsets.get(name)! + byteOffset + done) % NOISE_BYTES;
        const piece = noise[dtype].subarray(from, from + into.length - done);
        into.set(piece, done);
        done += piece.length;
      }
      return Promise.resolve();
    },
  };
}

type Stored = NonNullable<ReturnType<WeightSource["tensors"]["get"]>>;

/** A made-up tensor. */
interface MadeUp extends Stored {
  readonly dtype: "BF16" | "F8";
  readonly shape: readonly number[];
}

/** Random bf16 values of either sign, 2⁻⁸ to 2⁻⁶ in size. */
function bf16Noise(seed: number): Uint8Array {
  const values = new Uint16Array(NOISE_BYTES / 2);
  fill(values, seed, (bits) => bits & 0x8000 | (119 + (bits >>> 16 & 1)) << 7 | bits & 0x7f);
  return new Uint8Array(values.buffer);
}

/** Random values of E4M3 that are of this size once multiplied by {@linkcode SCALE}. */
function fp8Noise(seed: number): Uint8Array {
  const values = new Uint8Array(NOISE_BYTES);
  fill(values, seed, (bits) => bits & 0x80 | (6 + (bits >>> 16 & 1)) << 3 | bits & 7);
  return values;
}

/** Fills `values` with what `make` makes of random bits. */
function fill(
  values: Uint16Array | Uint8Array,
  seed: number,
  make: (bits: number) => number,
): void {
  let state = seed | 1;
  for (let i = 0; i < values.length; i++) {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = make(state);
  }
}
