/**
 * Fresh random inputs for tests, which can be had again: a failing test tells its seed.
 *
 * @module
 */
import { random } from "./decode/buffers.ts";

/** A generator of random inputs; equal seeds give equal inputs. */
export class Random {
  /** What the inputs depend on. */
  readonly seed: number;
  #next: (n: number) => number;

  constructor(seed: number) {
    this.seed = seed;
    this.#next = random(seed);
  }

  /** An integer from 0 to `n` - 1. */
  below(n: number): number {
    return this.#next(n);
  }

  /** An integer from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.below(1 << 24) < probability * (1 << 24);
  }

  /** One of `values`. */
  pick<T>(values: ArrayLike<T>): T {
    return values[this.below(values.length)]!;
  }

  /** The integers below `n` in random order. */
  shuffled(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const other = this.below(i + 1);
      [order[i], order[other]] = [order[other]!, order[i]!];
    }
    return order;
  }

  /** A number between `-scale` and `scale`, of 24 bits. */
  float(scale = 1): number {
    return (this.below(1 << 25) / (1 << 24) - 1) * scale;
  }

  /** `n` numbers between `-scale` and `scale`. */
  floats(n: number, scale = 1): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: n }, () => this.float(scale));
  }
}

/**
 * The body of a test with random inputs: new ones on every run, or those of the environment variable
 * `DITTO_SEED`. When the test fails its message ends with the seed.
 */
export function seeded(
  body: (random: Random) => void | Promise<void>,
): () => Promise<void> {
  return async () => {
    const given = Deno.env.get("DITTO_SEED");
    const seed = given ? Number(given) : crypto.getRandomValues(new Uint32Array(1))[0]!;
    try {
      await body(new Random(seed));
    } catch (error) {
      if (error instanceof Error) error.message += `\nAgain with: DITTO_SEED=${seed}`;
      throw error;
    }
  };
}
