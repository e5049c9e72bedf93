/**
 * Number formats of the kernels, and how far their arithmetic may stray from the real numbers.
 *
 * @module
 */
import type { CacheType } from "../../kernels/stages.ts";
import { isQuantized, rowBytes, type WeightType } from "../../kernels/weight_types.ts";
import type { Random } from "../random.ts";
import { bits, type Data, POISON } from "./harness.ts";
import { dequantize, quantize } from "./quantization.ts";

/** Rounding to f32 changes a number by this part of it at most. */
export const U = 2 ** -24;

/** Relative error of WGSL's `exp(x)`: 3 + 2 |x| units in the last place, of 2 U each. */
export function expError(x: number): number {
  return (3 + 2 * Math.abs(x)) * 2 * U;
}

/** How far rounding to a cache's format moves a number at most; f16 has subnormals below 2⁻¹⁴. */
export function cacheError(type: CacheType, value: number): number {
  return type === "f16" ? Math.max(Math.abs(value) * 2 ** -11, 2 ** -25) : 0;
}

/** Silu in f64. */
export function silu(v: number): number {
  return v / (1 + Math.exp(-v));
}

/** How far silu(v) may be off in f32, when v is off by `error`; |silu'| stays below 1.1. */
export function siluError(v: number, error: number): number {
  const e = Math.exp(-v);
  // The kernel keeps the exponent below 80, where silu is nothing: 1e-30 covers it.
  return 1.1 * error + Math.abs(silu(v)) * ((e / (1 + e)) * expError(v) + 8 * U) + 1e-30;
}

/** What a byte of E4M3 stands for: 0x7f and 0xff for no number. */
export function e4m3(code: number): number {
  const [sign, exponent, mantissa] = [code >> 7, code >> 3 & 15, code & 7];
  if (exponent === 15 && mantissa === 7) return NaN;
  const size = exponent === 0
    ? mantissa / 8 * 2 ** -6 // subnormal
    : (1 + mantissa / 8) * 2 ** (exponent - 7);
  return sign === 0 ? size : -size;
}

/** The numbers of E4M3 from the smallest on; of two zeros, the positive one. */
const E4M3 = Array.from({ length: 256 }, (_, code) => code)
  .filter((code) => !Number.isNaN(e4m3(code)) && code !== 0x80)
  .sort((a, b) => e4m3(a) - e4m3(b));

/** The byte of the number of E4M3 nearest to `value`. */
function toE4m3(value: number): number {
  let [first, last] = [0, E4M3.length - 1];
  while (last - first > 1) {
    const middle = (first + last) >> 1;
    if (e4m3(E4M3[middle]!) <= value) first = middle;
    else last = middle;
  }
  const [below, above] = [E4M3[first]!, E4M3[last]!];
  return value - e4m3(below) <= e4m3(above) - value ? below : above;
}

/** A row in F8, as kernels/lib/weights_f8.wgsl describes it. */
export function f8Row(codes: readonly number[], scale: number): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(rowBytes("F8", codes.length));
  row.set(codes);
  new DataView(row.buffer).setFloat32(row.length - 4, scale * 2 ** 8, true);
  return row;
}

/** The nearest number of eight bits of mantissa that is no smaller: times one of E4M3 it is exact in f32. */
function roundUp(value: number): number {
  const power = 2 ** (Math.floor(Math.log2(value)) - 7);
  return Math.ceil(value / power) * power;
}

/** A matrix in a checkpoint's format or in few bits, its rows padded to multiples of eight. */
export class Matrix {
  /** Summed dimension / 8, rounded up. */
  readonly k8: number;
  /** The values that the bits stand for. [rows][8 · k8] */
  readonly values: Float32Array<ArrayBuffer>;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #rowWords: number;

  /** `weights`: [rows][k]; random ones if there are none. */
  constructor(
    random: Random,
    type: WeightType,
    rows: number,
    k: number,
    weights = random.floats(rows * k),
  ) {
    this.k8 = Math.ceil(k / 8);
    this.#rowWords = rowBytes(type, k) / 4;
    const wide = padded(weights, k);
    if (isQuantized(type)) {
      this.#words = quantize(weights, k, type);
      this.values = dequantize(this.#words, k, type);
    } else if (type === "F8") {
      const bytes = new Uint8Array(rows * rowBytes(type, k));
      this.values = new Float32Array(wide.length);
      for (let row = 0; row < rows; row++) {
        const own = weights.subarray(row * k, (row + 1) * k);
        const scale = roundUp(Math.max(peak(own) / 448, 1e-30)); // those that a checkpoint may have
        const codes = Array.from(own, (weight) => toE4m3(weight / scale));
        bytes.set(f8Row(codes, scale), row * rowBytes(type, k));
        codes.forEach((code, i) => this.values[row * 8 * this.k8 + i] = e4m3(code) * scale);
      }
      this.#words = new Uint32Array(bytes.buffer);
    } else if (type === "F32") {
      this.values = wide;
      this.#words = bits(wide);
    } else if (type === "F16") {
      const narrow = Float16Array.from(wide);
      this.values = Float32Array.from(narrow);
      this.#words = new Uint32Array(narrow.buffer);
    } else {
      const upper = Uint16Array.from(bits(wide), (word) => word >>> 16);
      this.values = new Float32Array(Uint32Array.from(upper, (half) => half << 16).buffer);
      this.#words = new Uint32Array(upper.buffer);
    }
  }

  /** The words of rows `first` to `first + count`. */
  rows(first: number, count: number): Uint32Array<ArrayBuffer> {
    return this.#words.slice(first * this.#rowWords, (first + count) * this.#rowWords);
  }
}

/** Rows of `k` values, each padded with zeros to a multiple of `size`. */
export function padded(values: Float32Array, k: number, size = 8): Float32Array<ArrayBuffer> {
  const stride = Math.ceil(k / size) * size;
  const rows = values.length / k;
  const result = new Float32Array(rows * stride);
  for (let r = 0; r < rows; r++) result.set(values.subarray(r * k, (r + 1) * k), r * stride);
  return result;
}

/** `size`, or the next multiple of sixteen. */
export function inSixteens(size: number): number {
  return Math.ceil(size / 16) * 16;
}

/** Where a row of `stride` values has value `i` if it lies in planes: see kernels/lib/planes.wgsl. */
export function inPlanes(i: number, stride: number, planes: 2 | 4): number {
  const piece = 4 * planes;
  const plane = Math.floor(i % piece / 4);
  return plane * (stride / planes) + Math.floor(i / piece) * 4 + i % 4;
}

/** The words of a cache that holds `values`, pair by pair. */
export function encodeCache(type: CacheType, values: Float32Array): Uint32Array<ArrayBuffer> {
  return new Uint32Array((type === "f16" ? Float16Array : Float32Array).from(values).buffer);
}

/** What a cache's words stand for; poison stays poison. */
export function decodeCache(type: CacheType, words: Data): Float32Array<ArrayBuffer> {
  const w = bits(words);
  if (type === "f32") return new Float32Array(w.slice().buffer);
  const values = Float32Array.from(new Float16Array(w.buffer, w.byteOffset, 2 * w.length));
  w.forEach((word, i) => {
    if (word === POISON) bits(values).fill(POISON, 2 * i, 2 * i + 2);
  });
  return values;
}

/** Words of a pair in a cache. */
export function pairWords(type: CacheType): number {
  return type === "f16" ? 1 : 2;
}

/** The largest difference that `roundings` roundings make in a sum whose terms add up to `magnitude`. */
export function sumError(roundings: number, magnitude: number): number {
  return roundings * U * magnitude * (1 + 2 ** -10); // higher powers of U
}

/** The largest value of a row, whatever its sign. */
export function peak(row: Float32Array): number {
  let most = 0;
  for (const value of row) most = Math.max(most, Math.abs(value));
  return most;
}

/**
 * The largest difference that prompt/matmul_f16.wgsl makes in a sum of products of two rows, which come times powers
 * of two that bring their peaks to 16 and more.
 *
 * @param sizes What the values of either row, and what the products, add up to without their signs.
 * @param peaks The rows' largest values.
 */
export function f16SumError(
  inputs: number,
  sizes: { readonly a: number; readonly b: number; readonly products: number },
  peaks: { readonly a: number; readonly b: number },
): number {
  const TINY = 2 ** -14; // f16 below this may become zero, which is nothing beside the peaks
  const lost = (peaks.a * sizes.b + peaks.b * sizes.a) * TINY / 16 +
    inputs * peaks.a * peaks.b * TINY / 256;
  // Roundings: of each of the two, of their product, and of the sum up to sixteen times.
  const rounded = 19 * 2 ** -11 * sizes.products;
  return 1.02 * (lost + rounded) + sumError(inputs / 16 + 4, sizes.products);
}
