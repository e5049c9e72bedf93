/**
 * Texts for drafters.
 *
 * @module
 */
import type { Random } from "../random.ts";

/** A text that lookups trip over, of a length around the kernel's 256 threads and multiples of them. */
export function makeText(random: Random, longest = 1200): number[] {
  const length = random.pick([
    random.between(1, 40),
    random.between(200, 300),
    256 * random.between(1, 4) + random.between(-3, 3),
    random.between(300, longest),
  ]);
  const vocabulary = random.pick([1, 2, 3, 12, 32_000]);
  const period = random.pick([length, 1, 2, 3, random.between(1, 20), random.between(254, 258)]);
  const once = Array.from({ length: Math.min(period, length) }, () => random.below(vocabulary));
  const text = Array.from({ length }, (_, i) => once[i % once.length]!);
  for (let changes = random.pick([0, 0, 1, 5]); changes > 0; changes--) {
    text[random.below(length)] = random.below(vocabulary);
  }
  // The ending once more: at the start, right before itself, or anywhere.
  for (let copies = random.below(4); copies > 0; copies--) {
    const span = random.between(1, Math.min(17, length));
    const last = length - span;
    const at = random.pick([0, Math.max(0, last - span), last - 1, random.below(last + 1)]);
    if (at >= 0) text.splice(at, span, ...text.slice(last, last + span));
  }
  return text.slice(0, length);
}
