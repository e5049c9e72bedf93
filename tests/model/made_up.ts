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

/** Made-up values in a type: below 0.1, or in F8 any, of which `scales` makes such. */
function period(dtype: FloatType | "scales"): Uint8Array<ArrayBuffer> {
  const size = dtype === "scales" ? 4 : FLOAT_BYTES[dtype];
  const values = new Uint8Array(PERIOD * size);
  const random = new Random(1);
  const view = new DataView(values.buffer);
  for (let i = 0; i < PERIOD; i++) {
    const value = random.float(0.1);
    if (dtype === "scales") view.setFloat32(4 * i, (0.2 + value) / 3 / 448, true);
    else if (dtype === "F8") values[i] = random.below(2) << 7 | random.below(0x7f);
    else if (dtype === "F32") view.setFloat32(4 * i, value, true);
    else if (dtype === "F16") view.setFloat16(2 * i, value, true);
    else {
      view.setFloat32(0, value);
      view.setUint16(2 * i, view.getUint16(0), true);
    }
  }
  return values;
}

/**
 * A checkpoint that is nowhere on disk. A value depends only on the tensor and the place in it, and is below
 * 0.1: such a model goes by the last token, so its answers run in circles.
 *
 * @param fields Of `config.json`, besides the architecture.
 * @param dtype Of all tensors; F8, with a scale for each output, of the matrices, and then BF16 of the norms.
 */
export function madeUp(fields: Record<string, unknown>, dtype: FloatType): WeightSource {
  const config = parseConfig({
    architectures: ["MistralForCausalLM"],
    max_position_embeddings: 2048,
    sliding_window: null,
    ...fields,
  });
  const tensors: Map<string, { dtype: FloatType; byteLength: number; scales?: string }> = new Map();
  const starts = new Map<string, { start: number; values: Uint8Array<ArrayBuffer> }>();
  const periods = new Map<string, Uint8Array<ArrayBuffer>>();
  const add = (name: string, dtype: FloatType, count: number, kind: FloatType | "scales") => {
    const values = periods.get(kind) ?? period(kind);
    periods.set(kind, values);
    const size = FLOAT_BYTES[dtype];
    starts.set(name, { start: 7919 * size * tensors.size, values });
    tensors.set(name, { dtype, byteLength: count * size });
  };
  const required = requiredTensors(config);
  for (const { name, shape } of required) {
    const own = shape.length === 1 && dtype === "F8" ? "BF16" : dtype;
    add(name, own, shape.reduce((a, b) => a * b, 1), own);
  }
  for (const { name, shape } of dtype === "F8" ? required : []) {
    if (shape.length === 1) continue;
    const scales = name.replace(/weight$/, "weight_scale");
    add(scales, "F32", shape[0]!, "scales");
    tensors.set(name, { ...tensors.get(name)!, scales });
  }
  return {
    config,
    tensors,
    read(name, byteOffset, into) {
      const { start, values } = starts.get(name)!;
      for (let at = 0; at < into.length;) {
        const from = (start + byteOffset + at) % values.length;
        const piece = values.subarray(from, from + into.length - at);
        into.set(piece, at);
        at += piece.length;
      }
      return Promise.resolve();
    },
  };
}
