/**
 * Token buffers for the tests of drafters: random ones and the ones that break drafters.
 *
 * @module
 */

/** A small deterministic generator of random integers below `n` (mulberry32). */
export function random(seed: number): (n: number) => number {
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** Buffers that drafters trip over, then `count` random ones, some with copied spans. */
export function* buffers(count: number, longest = 60): Generator<number[]> {
  for (let length = 0; length <= 40; length++) {
    yield Array(length).fill(7); // all tokens equal
    yield Array.from({ length }, (_, i) => i % 2); // period 2
    yield Array.from({ length }, (_, i) => i % 3);
    yield Array.from({ length }, (_, i) => i); // nothing matches
    yield [5, 6, ...Array.from({ length }, (_, i) => 100 + i), 5, 6]; // match at the start
    yield [...Array.from({ length }, (_, i) => 100 + i), 5, 6, 5, 6]; // match at the end
  }
  const next = random(2024);
  for (let i = 0; i < count; i++) {
    const vocabulary = 1 + next(i % 3 === 0 ? 3 : 12);
    const tokens = Array.from({ length: next(longest) }, () => next(vocabulary));
    if (i % 2 === 0 && tokens.length > 4) {
      const from = next(tokens.length - 3);
      tokens.push(...tokens.slice(from, from + 1 + next(6)));
    }
    yield tokens;
  }
}
