/** Tokens and logits with lookup equal those without, to the bit: half of the fixtures. */
import { FIXTURE_PAIRS } from "./comparison.ts";
import { testLossless } from "./lossless_tests.ts";

// In two files, since those run side by side and the tests of one do not; each has a slow pair and a fast one.
FIXTURE_PAIRS.filter((_, i) => i % 2 === 0).forEach(testLossless);
