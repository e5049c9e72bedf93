/**
 * The tests that tokens and logits with lookup equal those without, to the bit: for two fixtures at once, and few of them
 * for one.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { GenerateOptions } from "../../mod.ts";
import { Random, seeded } from "../random.ts";
import { assertLossless, Fixture } from "./comparison.ts";
import { makeAnswer, makePrompt } from "./prompts.ts";

/** Ways to find drafts. */
const DRAFTERS: readonly GenerateOptions[] = [{ drafter: "original" }, { drafter: "tree" }];
const DRAFTS = [1, 3, 10, 31];

/** Prompts of a fixture whose answers are the model's own. */
const PROMPTS = 100;
/** Prompts of a fixture whose answers are given, so that many drafts are accepted on any model. */
const REPLAYS = 8;
/** Prompts of a fixture in each of the smaller tests. */
const FEW = 4;

// A step takes 1 ms on llvmpipe and 10 on SwiftShader, and there are thousands of answers: most are short.

function isSlow({ model }: Fixture): boolean {
  return model.device.name.includes("SwiftShader");
}

/** The length of the `i`-th answer in tokens. */
function answerLength(random: Random, i: number, fixture: Fixture): number {
  const [most, longest] = isSlow(fixture) ? [3, 12] : [10, 30];
  return i % 25 === 24 ? longest : random.between(2, most);
}

/** What the `i`-th prompt is answered with: every number of drafts, and every drafter or one after the other. */
function lookups(i: number, fixture: Fixture): GenerateOptions[] {
  const drafters = isSlow(fixture) ? [DRAFTERS[i % DRAFTERS.length]!] : DRAFTERS;
  return drafters.flatMap((drafter) =>
    DRAFTS.map((promptLookupNumTokens) => ({ ...drafter, promptLookupNumTokens }))
  );
}

const loaded = new Map<string, Promise<Fixture>>();

/** A fixture as it is loaded by default; once for all tests, because that compiles for seconds. */
function load(name: string): Promise<Fixture> {
  const fixture = loaded.get(name) ?? Fixture.load(name);
  loaded.set(name, fixture);
  return fixture;
}

Deno.test.afterAll(async () => {
  for (const fixture of loaded.values()) (await fixture)[Symbol.dispose]();
});

/** A test on two fixtures at once: while one waits for the CPU to poll, the other computes. */
function testPair(
  title: string,
  pair: readonly string[],
  test: (fixture: Fixture, random: Random) => Promise<void>,
): void {
  Deno.test(
    `${pair.join(" and ")}: ${title}`,
    seeded(async ({ seed }) => {
      const runs = await Promise.allSettled(
        pair.map(async (name) => await test(await load(name), new Random(seed))),
      );
      for (const run of runs) if (run.status === "rejected") throw run.reason;
    }),
  );
}

/** All tests of two fixtures. */
export function testLossless(pair: readonly string[]): void {
  testPair(
    `${PROMPTS} prompts are answered alike with 0, ${DRAFTS.join(", ")} drafts`,
    pair,
    async (fixture, random) => {
      const { vocabSize } = fixture.model.config;
      const answers: (readonly number[])[] = [];
      for (let i = 0; i < PROMPTS; i++) {
        const prompt = makePrompt(random, i, vocabSize, answers);
        const maxNewTokens = answerLength(random, i, fixture);
        const options = { maxNewTokens, ignoreEos: true };
        const { tokens } = await assertLossless(fixture, prompt, options, lookups(i, fixture));
        assertEquals(tokens.length, maxNewTokens);
        answers.push(tokens);
      }
      const { drafted, accepted } = fixture.tally;
      console.log(`${fixture.name}: ${drafted} drafts, of which ${accepted} were right`);
      assert(drafted > accepted, "these prompts do not test what they should");
    },
  );

  testPair("given answers, most drafts of which are right", pair, async (fixture, random) => {
    const { vocabSize } = fixture.model.config;
    const before = fixture.tally.accepted;
    for (let i = 0; i < REPLAYS; i++) {
      const prompt = makePrompt(random, i, vocabSize);
      const replay = makeAnswer(random, vocabSize, prompt, answerLength(random, i, fixture) + 6);
      const options = { replay, ignoreEos: true };
      const { tokens } = await assertLossless(fixture, prompt, options, lookups(i, fixture));
      assertEquals(tokens, replay);
    }
    assert(fixture.tally.accepted > before, "these answers do not test what they should");
  });

  testPair("answers that end at one of several tokens, also within a draft", pair, testEnds);

  testPair(
    "any length of n-gram, any number of drafts and of submissions ahead",
    pair,
    async (fixture, random) => {
      for (let i = 0; i < FEW; i++) {
        const prompt = makePrompt(random, i, fixture.model.config.vocabSize);
        const options = { maxNewTokens: answerLength(random, i, fixture), ignoreEos: true };
        const any = [1, 2, 3, 4].map((submissionsAhead) => ({
          ...random.pick(DRAFTERS),
          submissionsAhead,
          maxMatchingNgramSize: random.between(1, 5),
          promptLookupNumTokens: random.between(1, 31),
        }));
        await assertLossless(fixture, prompt, options, any);
      }
    },
  );

  testPair("sampled answers, by their seeds", pair, async (fixture, random) => {
    for (let i = 0; i < FEW; i++) {
      const prompt = makePrompt(random, i, fixture.model.config.vocabSize);
      const options: GenerateOptions = {
        maxNewTokens: answerLength(random, i, fixture),
        ignoreEos: true,
        seed: random.below(2 ** 32),
        temperature: random.pick([0.1, 0.4, 1]),
        topK: random.pick([0, 0, 5]),
        topP: random.pick([1, 0.9]),
        minP: random.pick([0, 0.05]),
        repetitionPenalty: random.pick([1, 1, 1.3]),
      };
      await assertLossless(fixture, prompt, options, lookups(i, fixture));
    }
  });
}

/** What the model says itself, cut at a token of it, and given answers that end within a copied span. */
async function testEnds(fixture: Fixture, random: Random): Promise<void> {
  const { vocabSize } = fixture.model.config;
  for (let i = 0; i < FEW; i++) {
    const prompt = makePrompt(random, i, vocabSize);
    const maxNewTokens = answerLength(random, i, fixture) + 6;
    const replay = makeAnswer(random, vocabSize, prompt, maxNewTokens);
    const options = i % 2 === 0 ? { replay } : { maxNewTokens };
    const whole = await assertLossless(fixture, prompt, { ...options, ignoreEos: true }, []);
    const end = whole.tokens[random.below(maxNewTokens)]!;
    fixture.eos.splice(0, Infinity, random.below(vocabSize), end, random.below(vocabSize));
    const { tokens, stopReason } = await assertLossless(
      fixture,
      prompt,
      options,
      lookups(i, fixture),
    );
    const length = 1 + whole.tokens.findIndex((token) => fixture.eos.includes(token));
    assertEquals({ tokens, stopReason }, {
      tokens: whole.tokens.slice(0, length),
      stopReason: "eos",
    });
  }
}

/** A few prompts of at most 50 tokens. */
export async function testFew(fixture: Fixture, random: Random): Promise<unknown[]> {
  const answers = [];
  for (let i = 0; i < FEW; i++) {
    const prompt = makePrompt(random, i, fixture.model.config.vocabSize);
    const options = { maxNewTokens: answerLength(random, i, fixture), ignoreEos: true };
    const { tokens, logitsDigest } = await assertLossless(
      fixture,
      prompt,
      options,
      lookups(i, fixture),
    );
    answers.push({ tokens, logitsDigest });
  }
  return answers;
}
