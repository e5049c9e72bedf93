/** However a model is loaded, tokens and logits with lookup equal those without, to the bit. */
import { assert, assertEquals } from "@std/assert";
import { listDevices, type LoadOptions } from "../../mod.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { madeUp } from "../model/made_up.ts";
import { Random, seeded } from "../random.ts";
import { assertLossless, Fixture, FIXTURES } from "./comparison.ts";
import { testFew } from "./lossless_tests.ts";
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

const variants: [name: string, options: LoadOptions][] = [
  ["tiny-gqa-bf16", { kvCache: "f32" }],
  ["window-f32", { kvCache: "f32", device: { subgroups: false } }],
  ["headdim-f16", { device: { subgroups: false } }],
  ["tied-bf16", { device: { subgroups: false } }],
  ["mistral-fp8", { device: { subgroups: false } }],
  ["tiny-gqa-bf16", { device: { f16Conversions: false } }],
  ["headdim-f16", { device: { f16Conversions: false } }],
  ["mistral-fp8", { device: { f16Conversions: false } }],
  // Rows that cost nothing make every tree as large as it may be.
  ["odd-f32", { rowCosts: new Array(MAX_ROWS).fill(1) }],
];

for (const [name, options] of variants) {
  Deno.test(
    `${name} loaded with ${JSON.stringify(options).slice(0, 80)}`,
    seeded(async (random) => {
      using fixture = await Fixture.load(name, options);
      await testFew(fixture, random);
    }),
  );
}

Deno.test(
  "a model whose every matrix is cut into parts answers as the same model in one piece",
  seeded(async (random) => {
    const source = madeUp({
      vocab_size: 500,
      hidden_size: 256,
      intermediate_size: 300,
      num_hidden_layers: 2,
      num_attention_heads: 8,
      num_key_value_heads: 2,
    }, "F32");
    const context = 100;
    const seed = random.below(2 ** 32);
    const answers: unknown[] = [];
    for (const device of [{}, { maxBindingBytes: 250_000 }]) {
      using fixture = await Fixture.of("made up", source, { context, device });
      answers.push(await testFew(fixture, new Random(seed)));
    }
    assertEquals(answers[1], answers[0]);
  }),
);
