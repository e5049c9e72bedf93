/**
 * The specification of kernels/quantize.wgsl and kernels/lib/quantized.wgsl: rows of weights in few bits,
 * the obvious way.
 *
 * @module
 */
import { QUANTIZED_BITS, type QuantizedType, rowBytes } from "../../kernels/weight_types.ts";

const { fround } = Math;
/** Groups of nothing larger become zeros. */
const TINY = 2 ** -100;

/** To an integer, ties to even, as WGSL's `round`. */
function round(x: number): number {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

/** The exponent of a power of two that is no larger than `x` > 0, but more than half of it. */
function exponent(x: number): number {
  return (new Uint32Array(Float32Array.of(x).buffer)[0]! >>> 23) - 127;
}

/** A scale: (8 + field % 8) / 8 times a power of two, which counts up from the row's smallest. */
function scaleOf(field: number, smallest: number): number {
  return smallest * 2 ** Math.floor(field / 8) * (1 + (field % 8) / 8);
}

/** Integers of `bits` bits that stand for `group`, at a scale whose sign says which end the peak is on. */
function integers(group: Float32Array, scale: number, bits: number): number[] {
  const half = 2 ** (bits - 1);
  const size = Math.abs(scale);
  const power = 2 ** (exponent(size) - 3); // size = mantissa · power, mantissa 8 to 15
  const inverse = Math.floor(2 ** 26 / (size / power)) / 2 ** 26 / power * 2 ** bits;
  return Array.from(group, (w) => {
    const q = round(fround(w * inverse)) * Math.sign(scale);
    return Math.max(-half, Math.min(half - 1, q)) + half;
  });
}

/** The best of the scales near twice a group's peak: the byte that says it, and the integers at it. */
function pack(group: Float32Array, smallest: number, bits: number): [byte: number, us: number[]] {
  const half = 2 ** (bits - 1);
  const peak = group.reduce((m, w) => Math.abs(w) > Math.abs(m) ? w : m, 0);
  const sign = peak < 0 ? 1 : -1;
  const signBit = sign < 0 ? 0x80 : 0;
  const size = Math.abs(peak);
  if (size < TINY) return [0, Array.from(group, () => half)];
  const unit = 2 ** (8 + bits - exponent(size));
  // Twice the peak, in eighths of a power of two; 16 eighths are the next one's 8.
  const eighths = round(2 * size / 2 ** (exponent(size) + 1) * 8);
  const fit = 8 * (exponent(size) + 1 - exponent(smallest)) + eighths - 8;
  let best: [number, number[]] | null = null;
  let least = Infinity;
  for (let near = -2; near <= 3; near++) {
    const field = Math.max(0, Math.min(127, fit + near));
    const scale = sign * scaleOf(field, smallest);
    const us = integers(group, scale, bits);
    const error = us.reduce((sum, u, i) => {
      const e = fround(group[i]! - fround((u - half) * scale / 2 ** bits));
      return sum + Math.min(16000, Math.trunc(Math.abs(e * unit))) ** 2;
    }, 0);
    if (error < least) [least, best] = [error, [signBit | field, us]];
  }
  return best!;
}

/**
 * Rows of `k` weights in few bits, as words.
 *
 * @param values [rows][k]
 */
export function quantize(
  values: Float32Array,
  k: number,
  type: QuantizedType,
): Uint32Array<ArrayBuffer> {
  const bits = QUANTIZED_BITS[type];
  const bytes = rowBytes(type, k);
  const groups = Math.ceil(k / 16);
  const packed = new Uint8Array(values.length / k * bytes);
  for (let row = 0; row * k < values.length; row++) {
    const padded = new Float32Array(16 * groups);
    padded.set(values.subarray(row * k, (row + 1) * k));
    const peak = padded.reduce((m, w) => Math.max(m, Math.abs(w)), 0);
    const smallest = peak < TINY ? 1 : 2 ** (exponent(peak) - 13);
    const target = packed.subarray(row * bytes, (row + 1) * bytes);
    for (let g = 0; g < groups; g++) {
      const [byte, us] = pack(padded.subarray(16 * g, 16 * g + 16), smallest, bits);
      us.forEach((u, i) => {
        const bit = (16 * g + i) * bits;
        target[bit >> 3]! |= u << (bit % 8);
      });
      target[groups * 2 * bits + g] = byte;
    }
    new DataView(target.buffer, target.byteOffset).setFloat32(bytes - 4, smallest, true);
  }
  return new Uint32Array(packed.buffer);
}

/** What the words of rows stand for: [rows][k], `k` rounded up to eights. A zero's sign means nothing. */
export function dequantize(
  words: Uint32Array<ArrayBuffer>,
  k: number,
  type: QuantizedType,
): Float32Array<ArrayBuffer> {
  const bits = QUANTIZED_BITS[type];
  const bytes = rowBytes(type, k);
  const groups = Math.ceil(k / 16);
  const stride = Math.ceil(k / 8) * 8;
  const rows = words.byteLength / bytes;
  const values = new Float32Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    const view = new DataView(words.buffer, words.byteOffset + row * bytes, bytes);
    const smallest = view.getFloat32(bytes - 4, true);
    for (let i = 0; i < stride; i++) {
      const byte = view.getUint8(groups * 2 * bits + (i >> 4));
      const scale = (byte & 0x80 ? -1 : 1) * scaleOf(byte & 0x7f, smallest);
      const bit = i * bits;
      const u = view.getUint8(bit >> 3) >> (bit % 8) & (2 ** bits - 1);
      values[row * stride + i] = (u / 2 ** bits - 0.5) * scale;
    }
  }
  return values;
}
