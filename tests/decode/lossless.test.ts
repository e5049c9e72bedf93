/** Tokens and logits with lookup equal those without, to the bit. */
import { assert } from "@std/assert";
import type { GenerateOptions } from "../../mod.ts";
import { Random, seeded } from "../random.ts";
import { assertLossless, Fixture, FIXTURE_PAIRS, together } from "./comparison.ts";
import { makeAnswer, makePrompt } from "./prompts.ts";

/** Ways to find drafts. */
const DRAFTERS: GenerateOptions[] = [{}];
const DRAFTS = [1, 3, 10, 31];
const LOOKUPS = DRAFTERS.flatMap((drafter) =>
  DRAFTS.map((promptLookupNumTokens) => ({ ...drafter, promptLookupNumTokens }))
);

/** Prompts of a fixture whose answers are the model's own. */
const PROMPTS = 100;
/** Prompts whose answers are given, so that many drafts are accepted on any model. */
const REPLAYS = 8;

/**
 * Answers are shorter where a step takes 5 ms instead of 0.7; there are as many. In tokens; one answer in ten
 * is long enough for every ring to go around.
 */
function answerLength(random: Random, { model }: Fixture): number {
  if (random.chance(0.1)) return 40;
  return model.device.name.includes("SwiftShader") ? random.between(4, 9) : random.between(8, 32);
}

for (const pair of FIXTURE_PAIRS) {
  Deno.test(
    `${pair.join(" and ")}: ${PROMPTS} prompts are answered alike with 0, ${
      DRAFTS.join(", ")
    } drafts`,
    seeded(async ({ seed }) => {
      await together(pair, async (name) => {
        using fixture = await Fixture.load(name);
        await testPrompts(fixture, new Random(seed));
      });
    }),
  );
}

async function testPrompts(fixture: Fixture, random: Random): Promise<void> {
  const { vocabSize } = fixture.model.config;
  const answers: (readonly number[])[] = [];
  for (let i = 0; i < PROMPTS; i++) {
    const prompt = makePrompt(random, vocabSize, answers);
    const options = { maxNewTokens: answerLength(random, fixture), ignoreEos: true };
    answers.push((await assertLossless(fixture, prompt, options, LOOKUPS)).tokens);
  }
  for (let i = 0; i < REPLAYS; i++) {
    const prompt = makePrompt(random, vocabSize, answers);
    const replay = makeAnswer(random, vocabSize, prompt, answerLength(random, fixture));
    await assertLossless(fixture, prompt, { replay, ignoreEos: random.chance(0.5) }, LOOKUPS);
  }
  const { drafted, accepted } = fixture.tally;
  console.log(`${fixture.name}: ${drafted} drafts, of which ${accepted} were right`);
  assert(accepted > 0 && accepted < drafted, "these prompts do not test what they should");
}
