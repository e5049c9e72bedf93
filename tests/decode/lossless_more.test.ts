/** Tokens and logits with lookup equal those without, to the bit: the other half of the fixtures. */
import { FIXTURE_PAIRS } from "./comparison.ts";
import { testLossless } from "./lossless_tests.ts";

FIXTURE_PAIRS.filter((_, i) => i % 2 === 1).forEach(testLossless);
