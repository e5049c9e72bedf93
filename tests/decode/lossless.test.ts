/** Tokens and logits with lookup equal those without, to the bit: half of the fixtures. */
import { FIXTURE_PAIRS } from "./comparison.ts";
import { testLossless } from "./lossless_tests.ts";

// In two files, since those run side by side and the tests of one do not; each has a slow pair and a fast one.
for (const pair of [FIXTURE_PAIRS[0], FIXTURE_PAIRS[2]]) testLossless(pair);
