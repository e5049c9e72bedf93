/**
 * How weights are stored on the GPU, and how much room they take.
 *
 * @module
 */

/** Weights as they come from training. */
export type FloatType = "BF16" | "F16" | "F32";
/** Weights in 8 and 4 bits with scales; lib/quantized.wgsl describes them. */
export type QuantizedType = "Q8" | "Q4";
/** How weights are stored on the GPU. */
export type WeightType = FloatType | QuantizedType;

/** Bytes of a weight as it comes from training. */
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { BF16: 2, F16: 2, F32: 4 };
/** Bits of a quantized weight, without its share of the scales. */
export const QUANTIZED_BITS: Readonly<Record<QuantizedType, number>> = { Q8: 8, Q4: 4 };

/** Whether a type is one of few bits. */
export function isQuantized(type: WeightType): type is QuantizedType {
  return type === "Q8" || type === "Q4";
}

/**
 * Planes in which a product with such weights reads its rows: see lib/planes.wgsl. Twice `EIGHTS` of lib/weights_*.wgsl.
 */
export function planes(type: WeightType): 2 | 4 {
  return isQuantized(type) ? 4 : 2;
}

/**
 * Bytes of a row of weights: padded to whole eights, or, in few bits, to sixteens, with their scales. Kept in
 * step with row_words() in lib/quantized.wgsl.
 *
 * @param inputs Weights of the row.
 */
export function rowBytes(type: WeightType, inputs: number): number {
  if (!isQuantized(type)) return Math.ceil(inputs / 8) * 8 * FLOAT_BYTES[type];
  const groups = Math.ceil(inputs / 16);
  return Math.ceil((groups * (2 * QUANTIZED_BITS[type] + 1) + 4) / 16) * 16;
}
