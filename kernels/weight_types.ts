/**
 * How weights are stored on the GPU, and how much room they take.
 *
 * @module
 */

/**
 * Floating-point weights as checkpoints have them. F8 is E4M3 with a scale for each row, which lib/weights_f8.wgsl
 * describes.
 */
export type FloatType = "BF16" | "F16" | "F32" | "F8";
/** Weights in 8 and 4 bits with scales; lib/quantized.wgsl describes them. */
export type QuantizedType = "Q8" | "Q4";
/** What weights lie in on the GPU: kernels/lib/weights_in_texture.wgsl says when a texture is the better. */
export type WeightStorage = "buffer" | "texture";
/** How weights are stored on the GPU. */
export type WeightType = FloatType | QuantizedType;

/** Bytes of a floating-point weight, without its share of a scale. */
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { BF16: 2, F16: 2, F32: 4, F8: 1 };
/** Bits of a quantized weight, without its share of the scales. */
export const QUANTIZED_BITS: Readonly<Record<QuantizedType, number>> = { Q8: 8, Q4: 4 };

/** Whether a type is one of Ditto's own, of few bits. */
export function isQuantized(type: WeightType): type is QuantizedType {
  return type === "Q8" || type === "Q4";
}

/**
 * Planes in which a product with such weights reads its rows: see lib/planes.wgsl. Twice `EIGHTS` of lib/weights_*.wgsl.
 */
export function planes(type: WeightType): 2 | 4 {
  return isQuantized(type) || type === "F8" ? 4 : 2;
}

/**
 * Bytes of a row of weights: padded to whole eights, or, in few bits and in F8, to sixteens, with their scales. Kept in
 * step with row_words() in lib/quantized.wgsl and row_start() in lib/weights_f8.wgsl.
 *
 * @param inputs Weights of the row.
 */
export function rowBytes(type: WeightType, inputs: number): number {
  if (type === "F8") return Math.ceil(inputs / 16) * 16 + 16;
  if (!isQuantized(type)) return Math.ceil(inputs / 8) * 8 * FLOAT_BYTES[type];
  const groups = Math.ceil(inputs / 16);
  return Math.ceil((groups * (2 * QUANTIZED_BITS[type] + 1) + 4) / 16) * 16;
}
