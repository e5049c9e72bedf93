/**
 * Which weights of a model are kept in few bits, and how a checkpoint says that its weights are.
 *
 * In `config.json`: `"quantization_config": {"quant_method": "ditto", "bits": 4, "group_size": 16}`. A tensor
 * in few bits is U8 of shape [outputs, bytes of a row]; a row is what kernels/lib/quantized.wgsl describes.
 *
 * @module
 */
import type { QuantizedType } from "../kernels/weight_types.ts";
import { DittoError, show } from "./errors.ts";
import { isFp8 } from "./fp8.ts";
import { isObject } from "./json.ts";

/** Weights in 8 bits, or most of them in 4. */
export type Quantization = "q8" | "q4";

const BITS: Readonly<Record<Quantization, number>> = { q8: 8, q4: 4 };
const GROUP_SIZE = 16;
/** What is in 4 bits in q4. */
const ROBUST = /^model\.layers\.\d+\.(self_attn\.o|mlp\.\w+)_proj\.weight$/;
const MATRIX = /^(model\.embed_tokens|lm_head|model\.layers\.\d+\.\w+\.\w+_proj)\.weight$/;

/**
 * How a tensor is kept. Some are in 8 bits in either case. Queries and keys (and values, which lie in one matrix
 * with them): their products are exponents, so that an error of 7% would turn attention elsewhere (the model in
 * the box after 200 steps of training: divergence from bf16 0.07 instead of 0.18). The head: its errors go
 * straight into the logits. The embedding: a row of it is read once a token. Norms keep the checkpoint's bits.
 *
 * @returns null for a tensor that keeps its bits.
 */
export function quantizedType(
  tensor: string,
  quantization: Quantization | null,
): QuantizedType | null {
  if (quantization === null || !MATRIX.test(tensor)) return null;
  return quantization === "q4" && ROBUST.test(tensor) ? "Q4" : "Q8";
}

/** The `quantization_config` of a `config.json`. */
export function quantizationConfig(quantization: Quantization): Record<string, unknown> {
  return { quant_method: "ditto", bits: BITS[quantization], group_size: GROUP_SIZE };
}

/**
 * Reads a `quantization_config`.
 *
 * @returns null where weights are floating-point numbers, those in FP8 included: which are in it, their dtypes say.
 * @throws {DittoError} If it is neither one of Ditto's own nor one of FP8 with nothing more to it.
 */
export function parseQuantization(json: unknown): Quantization | null {
  if (json === undefined || json === null) return null;
  const config = isObject(json) ? json : {};
  const found = (["q8", "q4"] as const).find((each) => BITS[each] === config.bits);
  if (config.quant_method === "ditto" && config.group_size === GROUP_SIZE && found) return found;
  if (isFp8(config)) return null;
  const named = isObject(json) ? { quant_method: json.quant_method, ...json } : json; // before show() cuts
  throw new DittoError(
    `config.json has quantization_config ${
      show(named)
    }, which Ditto does not support: give it the ` +
      `checkpoint in bf16, f16, f32 or fp8, or one that Ditto saved (quant_method "ditto", bits 8 or 4, ` +
      `group_size ${GROUP_SIZE}).`,
  );
}
