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
 * The length of the `i`-th answer in tokens. On SwiftShader, where a step takes 4 ms instead of 0.7, most are
 * shorter; there are as many.
 */
function answerLength(random: Random, i: number, { model }: Fixture): number {
  if (i % 25 === 24) return 48;
  return model.device.name.includes("SwiftShader") ? random.between(4, 8) : random.between(8, 32);
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
    const prompt = makePrompt(random, i, vocabSize, answers);
    const options = { maxNewTokens: answerLength(random, i, fixture), ignoreEos: true };
    answers.push((await assertLossless(fixture, prompt, options, LOOKUPS)).tokens);
  }
  for (let i = 0; i < REPLAYS; i++) {
    const prompt = makePrompt(random, i, vocabSize, answers);
    const replay = makeAnswer(random, vocabSize, prompt, answerLength(random, i, fixture));
    await assertLossless(fixture, prompt, { replay, ignoreEos: random.chance(0.5) }, LOOKUPS);
  }
  const { drafted, accepted } = fixture.tally;
  console.log(`${fixture.name}: ${drafted} drafts, of which ${accepted} were right`);
  assert(accepted > 0 && accepted < drafted, "these prompts do not test what they should");
}
