/**
 * Checkpoints of any shape with made-up weights, for what the small fixtures cannot show.
 *
 * @module
 */
import { parseConfig } from "../../model/config.ts";
import { FLOAT_BYTES, type FloatType } from "../../kernels/weight_types.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import type { WeightSource } from "../../model/weights.ts";
import { Random } from "../random.ts";

/** Fields of a model that is no larger than it needs to be to run; the vocabulary is to be added. */
export const SMALL = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
} as const;

/** Values that the weights repeat; a prime, so that no two rows are alike. */
const PERIOD = 65_521;

/**
 * A checkpoint that is nowhere on disk. A value depends only on the tensor and the place in it, and is below
 * 0.1: such a model goes by the last token, so its answers run in circles.
 *
 * @param fields Of `config.json`, besides the architecture.
 */
export function madeUp(fields: Record<string, unknown>, dtype: FloatType): WeightSource {
  const config = parseConfig({
    architectures: ["MistralForCausalLM"],
    max_position_embeddings: 2048,
    sliding_window: null,
    ...fields,
  });
  const size = FLOAT_BYTES[dtype];
  const tensors = new Map(
    requiredTensors(config).map(({ name, shape }, i) => {
      const byteLength = shape.reduce((a, b) => a * b, 1) * size;
      return [name, { dtype, byteLength, start: 7919 * i }];
    }),
  );
  const values = new Uint8Array(PERIOD * size);
  const random = new Random(1);
  const view = new DataView(values.buffer);
  for (let i = 0; i < PERIOD; i++) {
    const value = random.float(0.1);
    if (dtype === "F32") view.setFloat32(4 * i, value, true);
    else if (dtype === "F16") view.setFloat16(2 * i, value, true);
    else {
      view.setFloat32(0, value);
      view.setUint16(2 * i, view.getUint16(0), true);
    }
  }
  return {
    config,
    tensors,
    read(name, byteOffset, into) {
      const { start } = tensors.get(name)!;
      for (let at = 0; at < into.length;) {
        const from = (start * size + byteOffset + at) % values.length;
        const piece = values.subarray(from, from + into.length - at);
        into.set(piece, at);
        at += piece.length;
      }
      return Promise.resolve();
    },
  };
}
