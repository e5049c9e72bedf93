/**
 * The sampler's noise (kernels/lib/gumbel.wgsl), in exact integers and float64.
 *
 * @module
 */
import { U } from "./numbers.ts";

/** Three words. */
type Words = readonly [number, number, number];

const MULTIPLIER = 1664525;
const INVERSE = 4276115653; // of the multiplier, modulo 2³²
const INCREMENT = 1013904223;

/** Jarzynski and Olano's pcg3d. */
export function pcg3d(words: Words): Words {
  const first = (word: number) => Math.imul(word, MULTIPLIER) + INCREMENT | 0;
  let [x, y, z] = [first(words[0]), first(words[1]), first(words[2])];
  for (let round = 0; round < 2; round++) {
    if (round > 0) [x, y, z] = [x ^ x >>> 16, y ^ y >>> 16, z ^ z >>> 16];
    x = x + Math.imul(y, z) | 0;
    y = y + Math.imul(z, x) | 0;
    z = z + Math.imul(x, y) | 0;
  }
  return [x >>> 0, y >>> 0, z >>> 0];
}

/** The words that {@linkcode pcg3d} makes these of, which are one to one. */
export function unPcg3d(words: Words): Words {
  let [x, y, z] = words;
  for (let round = 0; round < 2; round++) {
    if (round > 0) [x, y, z] = [x ^ x >>> 16, y ^ y >>> 16, z ^ z >>> 16];
    z = z - Math.imul(x, y) | 0;
    y = y - Math.imul(z, x) | 0;
    x = x - Math.imul(y, z) | 0;
  }
  const last = (word: number) => Math.imul(word - INCREMENT, INVERSE) >>> 0;
  return [last(x), last(y), last(z)];
}

/**
 * How far logarithms in f32 may take the noise, as WGSL has them: each by 2⁻²¹, or by three of its steps. The inner one's
 * result is 1/16 at least, and 2⁻²¹ is 8e-6 of that; the outer one's is 23 at most, of which three steps are 6e-6.
 */
const LOGARITHMS = 2e-5;

/**
 * The least and the most that the noise of 32 random bits may be: -ln(-ln(1 - v)), v in the middle of the 2⁻³² that they
 * stand for. Two of its steps are what f32 may take from v or add, and the last below 1 is all it can be.
 */
export function gumbel(bits: number): [least: number, most: number] {
  const v = (bits + 0.5) * 2 ** -32;
  const noise = (v: number) => -Math.log(-Math.log1p(-Math.min(v, 1 - U)));
  return [noise(v * (1 + 4 * U)) - LOGARITHMS, noise(v * (1 - 4 * U)) + LOGARITHMS];
}
