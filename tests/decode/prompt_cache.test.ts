/** What of a prompt need not go through the model again, and that no bit of the answer knows. */
import { assert, assertEquals } from "@std/assert";
import { PromptCache } from "../../decode/prompt_cache.ts";
import {
  type GenerateOptions,
  type GenerationResult,
  type LanguageModel,
  listDevices,
  type LoadOptions,
} from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { promptChunk } from "../../model/memory.ts";
import { type Random, seeded } from "../random.ts";
import { Fixture } from "./comparison.ts";
import { makePrompt } from "./prompts.ts";

Deno.test("PromptCache keeps what prompts have in common, and only what a prompt's pass made", () => {
  const cache = new PromptCache(10);
  const go = (...tokens: number[]) => {
    const count = cache.begin(tokens);
    cache.end(tokens);
    return count;
  };
  assertEquals(go(1, 2, 3, 4), 0);
  assertEquals(go(1, 2, 3, 4), 4);
  assertEquals(go(1, 2, 9), 2);
  assertEquals(go(1, 2, 3, 4), 2);
  assertEquals(go(1, 2, 3, 4, 5, 6), 4);
  assertEquals(go(), 0);
  assertEquals(go(1, 2), 0);
  assertEquals(go(7, 2), 0);

  // A prompt that was begun and not ended has overwritten what it does not share.
  go(1, 2, 3, 4);
  assertEquals(cache.begin([1, 2, 8, 8, 8]), 2);
  assertEquals(cache.begin([1, 2, 3, 4]), 2);

  // Text beyond the cache's positions takes the places of the first.
  go(1, 2, 3, 4);
  cache.reach(10);
  assertEquals(go(1, 2, 3, 4), 4);
  cache.reach(11);
  assertEquals(go(1, 2, 3, 4), 0);
  assertEquals(go(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), 4);
  assertEquals(go(1, 2, 3, 4), 0);
});

/** Prompts as a chat makes them: each begins like one before, perhaps with its answer, and goes on in another way. */
async function* turns(random: Random, model: LanguageModel, count: number) {
  const { vocabSize } = model.config;
  const texts: number[][] = [[], Array.from({ length: 240 }, () => random.below(vocabSize))];
  for (let i = 0; i < count; i++) {
    // The first is short, and the second goes on with it: under a window longer ones may all lose their beginnings.
    const text = i === 0 ? [] : i === 1 || random.chance(0.6) ? texts.at(-1)! : random.pick(texts);
    const isWhole = i <= 1 || random.chance(0.7);
    const kept = text.slice(0, isWhole ? text.length : random.below(text.length + 1));
    const prompt = [...kept, ...makePrompt(random, random.below(30), vocabSize)]
      .slice(0, i === 0 ? 100 : 460);
    texts.push(prompt);
    const answer: GenerationResult = yield prompt;
    if (answer) texts.push([...prompt, ...answer.tokens]);
  }
}

const hasF16 = (await listDevices())[0]?.hasF16;
const kinds: [names: string[], options: LoadOptions][] = [
  [["tiny-gqa-bf16", "headdim-f16", "tied-bf16"], hasF16 ? { promptPrecision: "f16" } : {}],
  [["nemo-bf16", "odd-f32", "shards-f32", "llama-f16"], { kvCache: "f32" }],
  // Its window is short, so that most texts take the places of their own beginnings.
  [["window-f32"], {}],
];

for (const [names, options] of kinds) {
  Deno.test(
    `answers are the same to the bit whatever was asked before: one of ${names.join(", ")}`,
    seeded(async (random) => {
      const name = random.pick(names);
      using checkpoint = await openCheckpoint(new URL(`../fixtures/${name}`, import.meta.url));
      using fixture = await Fixture.of(name, checkpoint, options);
      using fresh = await Fixture.of(name, checkpoint, options);
      let reused = 0;
      const asked = turns(random, fixture.model, 15);
      let prompt = (await asked.next()).value as number[];
      for (;;) {
        const options: GenerateOptions = {
          maxNewTokens: random.between(1, 40),
          logitsDigest: true,
          promptLookupNumTokens: random.pick([0, 5, 31]),
          ...(random.chance(0.3) && { temperature: 0.8, seed: random.below(100) }),
        };
        const answer = await fixture.model.generate(prompt, options).result();
        const other = await fresh.model.generate(prompt, { ...options, cachePrompt: false })
          .result();
        assertEquals(other.cachedPromptTokens, 0);
        const shown =
          `${name}, prompt [${prompt}], ${answer.cachedPromptTokens} tokens of it taken`;
        assertEquals(answer.tokens, other.tokens, shown);
        assertEquals(answer.logitsDigest, other.logitsDigest, shown);
        reused += answer.cachedPromptTokens;
        const next = await asked.next(answer);
        if (next.done) break;
        prompt = next.value as number[];
      }
      assert(reused > 0, "nothing was taken");
    }),
  );
}

Deno.test("a prompt that was interrupted leaves nothing behind that is not its own", async () => {
  using checkpoint = await openCheckpoint(
    new URL("../fixtures/tiny-gqa-bf16", import.meta.url),
  );
  using fixture = await Fixture.of("tiny-gqa-bf16", checkpoint, { context: 2048 });
  const { model } = fixture;
  const prompt = Array.from({ length: 1500 }, (_, i) => 5 + i * 7 % 300);
  const options = { maxNewTokens: 5, logitsDigest: true };
  const whole = await model.generate(prompt, options).result();
  const other = [...prompt.slice(0, 600), ...new Array(900).fill(3)];
  await model.generate(other, { ...options, signal: AbortSignal.abort() }).result();
  const again = await model.generate(prompt, options).result();
  assertEquals(again.cachedPromptTokens, 600);
  assertEquals(again.logitsDigest, whole.logitsDigest);
  const third = await model.generate(prompt, options).result();
  assertEquals(third.cachedPromptTokens, 1499);
  assertEquals(third.logitsDigest, whole.logitsDigest);
});

Deno.test("a prompt whose keys and values an answer has taken the place of goes through again", async () => {
  using checkpoint = await openCheckpoint(new URL("../fixtures/window-f32", import.meta.url));
  using fixture = await Fixture.of("window-f32", checkpoint);
  const { model } = fixture;
  const prompt = Array.from({ length: 100 }, (_, i) => 5 + i * i % 83);
  const options = { maxNewTokens: 5, logitsDigest: true };
  const first = await model.generate(prompt, options).result();
  const found: number[] = [];
  for (const maxNewTokens of [150, 400]) {
    await model.generate(prompt, { maxNewTokens, ignoreEos: true }).result();
    const again = await model.generate(prompt, options).result();
    assertEquals(again.logitsDigest, first.logitsDigest);
    found.push(again.cachedPromptTokens);
  }
  // Of 512 positions the cache keeps the window of 48 and those that go through at once: 256, or on a GPU all.
  const capacity = Math.min(512, 48 + promptChunk(model.device));
  assertEquals(found, [99, capacity < 500 ? 0 : 99]);
});

Deno.test("what an answer was allowed to write and did not is still there", async () => {
  using checkpoint = await openCheckpoint(new URL("../fixtures/window-f32", import.meta.url));
  using fixture = await Fixture.of("window-f32", checkpoint);
  const prompt = Array.from({ length: 250 }, (_, i) => 5 + i * i % 83);
  // Left in the middle, with passes under way that nobody reads.
  for await (const _ of fixture.model.generate(prompt, { maxNewTokens: 200 })) break;
  const { cachedPromptTokens } = await fixture.model.generate(prompt, { maxNewTokens: 1 }).result();
  assertEquals(cachedPromptTokens, 249);
});

Deno.test("what passes wrote that nobody read is not taken for the prompt's", async () => {
  using checkpoint = await openCheckpoint(new URL("../fixtures/window-f32", import.meta.url));
  using fixture = await Fixture.of("window-f32", checkpoint, { context: 1024 });
  const { model } = fixture;
  const capacity = 48 + promptChunk(model.device);
  // With the first pass's token the text just fits; the second pass is under way when the loop is left.
  const prompt = Array.from({ length: capacity - 1 }, (_, i) => 5 + i * i % 83);
  const options = { maxNewTokens: 200, ignoreEos: true, promptLookupNumTokens: 0 };
  for await (const _ of model.generate(prompt, { ...options, submissionsAhead: 2 })) break;
  const again = { maxNewTokens: 5, logitsDigest: true };
  const { cachedPromptTokens, logitsDigest } = await model.generate(prompt, again).result();
  assertEquals(cachedPromptTokens, 0);
  const fresh = await model.generate(prompt, { ...again, cachePrompt: false }).result();
  assertEquals(logitsDigest, fresh.logitsDigest);
});
