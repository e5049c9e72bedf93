/** The measures of bench/quality.ts on logits whose answers are known. */
import { assertAlmostEquals, assertEquals } from "@std/assert";
import { compareLogits } from "../../bench/quality/compare.ts";

Deno.test("compareLogits() of a model with itself", () => {
  const logits = [Float32Array.of(0, 0, 0, 0), Float32Array.of(Math.log(3), 0, 0, 0)];
  const { perplexity, ...rest } = compareLogits(logits, logits, [2, 0]);
  assertAlmostEquals(perplexity, Math.sqrt(4 * 2), 1e-6); // probabilities 1/4 and 3/6
  assertEquals(rest, { sameTop: 1, divergence: 0, logitsError: 0 });
});

Deno.test("compareLogits() of different models", () => {
  const reference = [Float32Array.of(1, -1), Float32Array.of(-1, 1)];
  const found = [Float32Array.of(6, 4), Float32Array.of(3, 1)]; // the first only shifted
  const { sameTop, divergence, logitsError } = compareLogits(reference, found, [0, 0]);
  assertEquals(sameTop, 0.5);
  // p = σ(2), q = 1 - p at the second position: (2 p - 1) · 2 nats, over two positions
  const p = 1 / (1 + Math.exp(-2));
  assertAlmostEquals(divergence, 2 * p - 1, 1e-6);
  assertAlmostEquals(logitsError, Math.sqrt(8 / 4), 1e-6);
});
