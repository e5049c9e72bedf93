/** With weights in 8 and 4 bits, and with prompts in f16, too, tokens and logits with lookup equal those without, to the bit. */
import { assert } from "@std/assert";
import { listDevices, type LoadOptions } from "../../mod.ts";
import { Random, seeded } from "../random.ts";
import { assertLossless, Fixture, FIXTURES } from "./comparison.ts";
import { makeAnswer, makePrompt } from "./prompts.ts";

const LOOKUPS = [1, 10, 31].map((promptLookupNumTokens) => ({ promptLookupNumTokens }));

async function testPrompts(random: Random, name: string, options: LoadOptions): Promise<void> {
  using fixture = await Fixture.load(name, options);
  const { vocabSize } = fixture.model.config;
  const answers: (readonly number[])[] = [];
  for (let i = 0; i < 6; i++) {
    const prompt = makePrompt(random, i, vocabSize, answers);
    const maxNewTokens = random.between(4, 16);
    const own = await assertLossless(fixture, prompt, { maxNewTokens, ignoreEos: true }, LOOKUPS);
    answers.push(own.tokens);
    const replay = makeAnswer(random, vocabSize, prompt, maxNewTokens);
    await assertLossless(fixture, prompt, { replay, ignoreEos: true }, LOOKUPS);
  }
  const { drafted, accepted } = fixture.tally;
  console.log(
    `${name}, ${Deno.inspect(options)}: ${drafted} drafts, of which ${accepted} were right`,
  );
  assert(drafted > 0, "these prompts do not test what they should");
}

Deno.test(
  "in q8 and q4 prompts are answered alike with and without lookup",
  seeded(async (random) => {
    const types = ["q8", "q4"] as const;
    await Promise.all(
      types.map((quantize) =>
        testPrompts(new Random(random.seed), random.pick(FIXTURES), { quantize })
      ),
    );
  }),
);

Deno.test({
  name: "with prompts in f16 they are answered alike with and without lookup",
  ignore: !(await listDevices())[0]!.hasF16,
  fn: seeded((random) => testPrompts(random, random.pick(FIXTURES), { promptPrecision: "f16" })),
});
