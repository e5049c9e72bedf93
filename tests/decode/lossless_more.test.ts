/** Tokens and logits with lookup equal those without, to the bit: the other half of the fixtures. */
import { FIXTURE_PAIRS } from "./comparison.ts";
import { testLossless } from "./lossless_tests.ts";

for (const pair of [FIXTURE_PAIRS[1], FIXTURE_PAIRS[3]]) testLossless(pair);
