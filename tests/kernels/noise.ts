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

/** How far a logarithm in f32 may be off, as WGSL has it: 2⁻²¹ from 0.5 to 2, elsewhere three of its steps. */
function logError(log: number): number {
  return Math.max(2 ** -21, 3 * 2 * U * Math.abs(log));
}

/**
 * The least and the most that the noise of 32 random bits may be: -ln(e), e = -ln(1 - v), v in the middle of the 2⁻³² that
 * they stand for. In f32 two of its steps may be taken from v or added to it, and it is no more than the last below 1.
 */
export function gumbel(bits: number): [least: number, most: number] {
  const v = (bits + 0.5) * 2 ** -32;
  const [least, most] = [1 + 4 * U, 1 - 4 * U].map((by) => {
    const e = -Math.log1p(-Math.min(v * by, 1 - U));
    // 1 - v is rounded before its logarithm is taken; below 1/16 there is a sum in its place, as good as any.
    const inner = v < 1 / 16 ? 6 * U : (logError(e) + U) / e;
    const noise = -Math.log(e);
    return { noise, error: inner + logError(noise) };
  });
  return [least!.noise - least!.error, most!.noise + most!.error];
}
