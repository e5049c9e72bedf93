/** The decoding loop: what it waits for, how it ends, and that generations leave nothing behind. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  DittoError,
  type GenerationResult,
  type LanguageModel,
  loadModel,
  type Piece,
} from "../../mod.ts";
import { promptChunk } from "../../model/memory.ts";
import { Random, seeded } from "../random.ts";
import { makePrompt } from "./prompts.ts";

const DIRECTORY = new URL("../fixtures/tiny-gqa-bf16", import.meta.url);
const rowCosts = new Array(32).fill(1); // so that nothing is measured

let loaded: Promise<LanguageModel> | null = null;

/** One model for all tests. */
function load(): Promise<LanguageModel> {
  return loaded ??= loadModel(DIRECTORY, { context: 400, rowCosts });
}

Deno.test.afterAll(async () => (await loaded)?.[Symbol.dispose]());

/** A prompt of the `i`-th kind for the model. */
function somePrompt(random: Random, model: LanguageModel): number[] {
  return makePrompt(random, random.below(30), model.config.vocabSize);
}

Deno.test("200 tokens are read back in at most 20 parts, with lookup and without", async () => {
  const model = await load();
  for (const promptLookupNumTokens of [0, 31]) {
    const options = { maxNewTokens: 200, ignoreEos: true, promptLookupNumTokens };
    const { tokens, events } = await eventsOf(() =>
      model.generate("The quick brown fox", options).result()
    );
    assertEquals(tokens.length, 200);
    const count = events.filter((event) => event === "read").length;
    assert(count >= 1 && count <= 20, `${count} read-backs`);
  }
});

Deno.test("few steps are submitted beyond those that an answer of given length needs", async () => {
  const model = await load();
  const prompt = Array.from({ length: 20 }, (_, i) => 10 + i);
  const maxNewTokens = 200;
  const replay = Array.from({ length: 12 }, () => prompt).flat().slice(0, 20 + maxNewTokens);
  const { beginComputePass } = GPUCommandEncoder.prototype;
  let submitted = 0;
  GPUCommandEncoder.prototype.beginComputePass = function (...descriptor) {
    submitted++;
    return beginComputePass.apply(this, descriptor);
  };
  try {
    const { passes } = await model.generate(prompt, { maxNewTokens, ignoreEos: true, replay })
      .result();
    assert(passes < maxNewTokens / 4, `${passes} passes`);
    assert(submitted < 2 * passes + 4, `${submitted} steps were submitted for ${passes} passes`);
  } finally {
    GPUCommandEncoder.prototype.beginComputePass = beginComputePass;
  }
});

Deno.test("each submission is encoded before the one before it is waited for, and nothing else is waited for", async () => {
  const model = await load();
  const options = {
    maxNewTokens: 90,
    ignoreEos: true,
    promptLookupNumTokens: 0,
    cachePrompt: false,
  };
  // What the test before left under way is over after this one, which leaves nothing.
  await model.generate([1, 2, 3], { ...options, maxNewTokens: 1 }).result();
  for (const submissionsAhead of [1, 2, 3, 8]) {
    const { tokens, events } = await eventsOf(() =>
      model.generate([1, 2, 3], { ...options, submissionsAhead }).result()
    );
    assertEquals(tokens.length, 90);
    // The prompt's submission, the first of the answer, and the wait for the one before the other.
    const [begin, rest] = [events.slice(0, 5), events.slice(5)];
    assertEquals(begin, ["encode", "submit", "encode", "wait", "submit"]);
    const count = (name: string) => rest.filter((event) => event === name).length;
    const submissions = 1 + count("submit");
    assertEquals([count("encode"), count("wait"), count("read")], [
      submissions - 1,
      submissions,
      submissions,
    ]);
    // In Deno the GPU has nothing to do once a wait is over: what comes next should be a submission.
    const after = rest.flatMap((event, i) => event === "wait" ? [rest[i + 1]] : []);
    if (submissionsAhead === 1) assert(after.every((event) => event === "read"), `${rest}`);
    else assert(after.slice(0, submissions - 1).every((event) => event === "submit"), `${rest}`);
    // How many are ahead of the first results depends on how fast they are.
    const before = rest.slice(0, rest.indexOf("read"));
    const ahead = 1 + before.filter((event) => event === "submit").length;
    assert(ahead >= Math.min(submissionsAhead, 2) && ahead <= submissionsAhead, `${rest}`);
  }
});

Deno.test("an answer's end is not waited for longer than it takes, and steps after it are not the next one's", async () => {
  const model = await load();
  const prompt = [1, 2, 3];
  const [end] = model.config.eosTokenIds;
  const replay = [...Array.from({ length: 9 }, (_, i) => 10 + i), end!, ...new Array(90).fill(7)];
  const ended = await eventsOf(() =>
    model.generate(prompt, { maxNewTokens: 100, replay, cachePrompt: false }).result()
  );
  assertEquals([ended.stopReason, ended.tokens], ["eos", replay.slice(0, 10)]);
  // The prompt is waited for too; the last submission is not.
  const count = (name: string) => ended.events.filter((event) => event === name).length;
  assertEquals(count("wait"), count("submit") - 1, `${ended.events}`);
  assertEquals(count("read"), count("submit") - 2, `${ended.events}`);

  // Without drafts a length needs so many steps and no more, so that none is left under way.
  const answer = {
    maxNewTokens: 20,
    ignoreEos: true,
    promptLookupNumTokens: 0,
    logitsDigest: true,
    cachePrompt: false,
  };
  const next = await eventsOf(() => model.generate(prompt, answer).result());
  assertEquals(next.events.slice(0, 3), ["wait", "encode", "submit"]);
  const after = await eventsOf(() => model.generate(prompt, answer).result());
  assertEquals(after.events.slice(0, 2), ["encode", "submit"]);
  assertEquals([next.tokens, next.logitsDigest], [after.tokens, after.logitsDigest]);
});

Deno.test("the prompt's time is told from the answer's", async () => {
  const model = await load();
  const time = async (length: number) => {
    const prompt = Array.from({ length }, (_, i) => 5 + i * 7 % 300);
    const options = { maxNewTokens: 1, ignoreEos: true, cachePrompt: false };
    return (await model.generate(prompt, options).result()).timing;
  };
  await time(399);
  const [short, long] = [await time(2), await time(399)];
  const more = long.prefillMs - short.prefillMs;
  const later = long.decodeMs - short.decodeMs;
  assert(more > Math.abs(later), `${Deno.inspect(short)} and ${Deno.inspect(long)}`);
});

/** What happens at the GPU's queue meanwhile, in order; `on` is told. */
async function eventsOf<T extends object>(
  run: () => Promise<T>,
  on: (event: string) => void = () => {},
): Promise<T & { events: string[] }> {
  const events: string[] = [];
  const happened = (event: string) => {
    events.push(event);
    on(event);
  };
  const { createCommandEncoder } = GPUDevice.prototype;
  const { submit, onSubmittedWorkDone } = GPUQueue.prototype;
  const { mapAsync, getMappedRange } = GPUBuffer.prototype;
  GPUDevice.prototype.createCommandEncoder = function (...descriptor) {
    happened("encode");
    return createCommandEncoder.apply(this, descriptor);
  };
  GPUQueue.prototype.submit = function (...commands) {
    happened("submit");
    return submit.apply(this, commands);
  };
  GPUQueue.prototype.onSubmittedWorkDone = function () {
    happened("wait");
    return onSubmittedWorkDone.apply(this);
  };
  GPUBuffer.prototype.mapAsync = function (...range) {
    happened("wait");
    return mapAsync.apply(this, range);
  };
  GPUBuffer.prototype.getMappedRange = function (...range) {
    const mapped = getMappedRange.apply(this, range);
    happened("read");
    return mapped;
  };
  try {
    return { ...await run(), events };
  } finally {
    GPUDevice.prototype.createCommandEncoder = createCommandEncoder;
    Object.assign(GPUQueue.prototype, { submit, onSubmittedWorkDone });
    Object.assign(GPUBuffer.prototype, { mapAsync, getMappedRange });
  }
}

Deno.test(
  "generations in a row give what freshly loaded models give",
  seeded(async (random) => {
    const model = await load();
    const calls = Array.from({ length: 3 }, () => ({
      prompt: somePrompt(random, model),
      options: {
        maxNewTokens: random.between(1, 40),
        logitsDigest: true,
        ignoreEos: true,
        cachePrompt: false,
        temperature: random.pick([0, 0.8]),
        repetitionPenalty: random.pick([1, 1.5]),
        promptLookupNumTokens: random.pick([0, 10]),
        seed: random.below(1000),
      },
    }));
    for (const { prompt, options } of calls) {
      const inARow = await model.generate(prompt, options).result();
      using fresh = await loadModel(DIRECTORY, { context: 400, rowCosts });
      const alone = await fresh.generate(prompt, options).result();
      assertEquals({ ...inARow, timing: null, tokensPerSecond: 0 }, {
        ...alone,
        timing: null,
        tokensPerSecond: 0,
      });
    }
  }),
);

Deno.test("pieces add up to the result", async () => {
  const model = await load();
  const generation = model.generate("The quick brown fox", { maxNewTokens: 60, ignoreEos: true });
  const pieces: Piece[] = [];
  for await (const piece of generation) pieces.push(piece);
  const result = await generation.result();
  assertEquals(pieces.flatMap(({ tokens }) => tokens), result.tokens);
  assertEquals(pieces.map(({ text }) => text).join(""), result.text);
  assertEquals(result.text, model.detokenize(result.tokens));
  assertEquals(pieces.map(({ pass }) => pass), pieces.map((_, i) => i));
  assertEquals(result.passes, pieces.length);
  assertEquals(result.drafted, pieces.reduce((sum, { drafted }) => sum + drafted, 0));
  assertEquals(result.accepted, result.tokens.length - result.passes);
  assertEquals(result.tokensPerPass, result.tokens.length / result.passes);
  for (const { tokens, drafted, source, ngram } of pieces) {
    assert(tokens.length >= 1 && tokens.length <= 1 + drafted);
    assert(drafted > 0 ? source >= ngram : ngram === 0 && source === 0);
  }
  // The pieces were read; the result can be had again.
  assertThrows(() => generation[Symbol.asyncIterator](), DittoError, "was read already");
  assertEquals(await generation.result(), result);
});

Deno.test("who iterates gets every piece, though the result is waited for before or meanwhile", async () => {
  const model = await load();
  const options = { maxNewTokens: 60, ignoreEos: true };
  for (const isFirst of [true, false]) {
    const generation = model.generate("The quick brown fox", options);
    const waits: Promise<GenerationResult>[] = [];
    if (isFirst) waits.push(generation.result());
    const pieces: Piece[] = [];
    for await (const piece of generation) {
      if (waits.length === 0) waits.push(generation.result());
      pieces.push(piece);
    }
    const result = await waits[0]!;
    assertEquals(pieces.flatMap(({ tokens }) => tokens), result.tokens);
    assertEquals(pieces.map(({ pass }) => pass), pieces.map((_, i) => i));
  }
  // Leaving the loop ends what is waited for, too.
  const generation = model.generate("The quick brown fox", { ...options, maxNewTokens: 300 });
  const waits = generation.result();
  for await (const _ of generation) break;
  assertEquals((await waits).stopReason, "aborted");
});

Deno.test("an abort before the start, or in the middle, keeps what there was by then", async () => {
  const model = await load();
  const options = { maxNewTokens: 300, ignoreEos: true, promptLookupNumTokens: 0 };
  const { tokens: whole } = await model.generate("Say", options).result();

  const never = await model.generate("Say", { ...options, signal: AbortSignal.abort() }).result();
  assertEquals([never.tokens, never.passes, never.stopReason, never.text], [[], 0, "aborted", ""]);

  const abort = new AbortController();
  const generation = model.generate("Say", { ...options, signal: abort.signal });
  for await (const { pass } of generation) if (pass === 5) abort.abort();
  const { tokens, stopReason } = await generation.result();
  assertEquals(stopReason, "aborted");
  assert(tokens.length > 5 && tokens.length < 300);
  assertEquals(tokens, whole.slice(0, tokens.length));

  // An abort that comes too late changes nothing.
  const late = new AbortController();
  const done = model.generate("Say", { ...options, signal: late.signal });
  await done.result();
  late.abort();
  assertEquals((await done.result()).tokens, whole);
});

Deno.test("an abort ends a long prompt between two submissions; what went through is kept", async () => {
  // Of one that has read no prompt yet it is not known how long a submission takes, so the first is waited for.
  using model = await loadModel(DIRECTORY, { context: 2000, rowCosts });
  const chunk = promptChunk(model.device);
  const prompt = Array.from({ length: 3 * chunk }, (_, i) => 5 + i * 7 % 300);
  const abort = new AbortController();
  const aborted = await eventsOf(
    () => model.generate(prompt, { signal: abort.signal }).result(),
    (event) => event === "submit" && setTimeout(() => abort.abort()),
  );
  assertEquals([aborted.stopReason, aborted.tokens], ["aborted", []]);
  // What was submitted after the wait runs while the rest of the program has its turn.
  assertEquals(aborted.events, ["encode", "submit", "encode", "wait", "submit", "encode"]);
  const { cachedPromptTokens } = await model.generate(prompt).result();
  assertEquals(cachedPromptTokens, 2 * chunk);
});

Deno.test("an abort before the start reads nothing of the prompt", async () => {
  const model = await load();
  const prompt = Array.from({ length: 50 }, (_, i) => 7 + i * 5 % 300);
  const signal = AbortSignal.abort();
  const { stopReason } = await model.generate(prompt, { signal, cachePrompt: false }).result();
  assertEquals(stopReason, "aborted");
  assertEquals((await model.generate(prompt).result()).cachedPromptTokens, 0);
});

Deno.test("maxNewTokens 0 reads the prompt, for one that begins alike", async () => {
  const model = await load();
  const prompt = Array.from({ length: 60 }, (_, i) => 9 + i * 5 % 300);
  const read = await model.generate(prompt, { maxNewTokens: 0 }).result();
  assertEquals([read.stopReason, read.tokens, read.passes], ["length", [], 0]);
  const { cachedPromptTokens } = await model.generate([...prompt, 5, 6]).result();
  assertEquals(cachedPromptTokens, 59);
  const signal = AbortSignal.abort();
  const aborted = await model.generate(prompt, { maxNewTokens: 0, signal }).result();
  assertEquals(aborted.stopReason, "aborted");
});

Deno.test("the pieces add up to the text after an abort too, what was held back included", async () => {
  const model = await load();
  const options = { maxNewTokens: 200, ignoreEos: true };
  const { text } = await model.generate("Say", options).result();
  // Any character may begin a stop string, so that the last one is always held back.
  const stop = Array.from(new Set(text), (character) => `${character}\uE000`);
  const abort = new AbortController();
  const generation = model.generate("Say", { ...options, stop, signal: abort.signal });
  let pieces = "";
  for await (const piece of generation) {
    pieces += piece.text;
    if (piece.pass === 3) abort.abort();
  }
  const result = await generation.result();
  assertEquals(result.stopReason, "aborted");
  assertEquals(pieces, result.text);
  assert(text.startsWith(pieces) && pieces !== "");
});

Deno.test("a generation that was begun by hand and dropped is ended by disposing of it", async () => {
  const model = await load();
  const options = { maxNewTokens: 200, ignoreEos: true };
  {
    await using dropped = model.generate("Say", options);
    await dropped[Symbol.asyncIterator]().next();
    await assertRejects(() => model.generate("Say").result(), DittoError, "dispose of it");
  }
  assertEquals((await model.generate("Say", { maxNewTokens: 3 }).result()).tokens.length, 3);
});

Deno.test("leaving the iteration ends the generation, and the next one can start", async () => {
  const model = await load();
  const options = { maxNewTokens: 300, ignoreEos: true };
  const generation = model.generate("Say", options);
  for await (const { pass } of generation) if (pass === 3) break;
  const { stopReason, passes } = await generation.result();
  assertEquals([stopReason, passes], ["aborted", 4]);

  const other = model.generate("Say", options);
  await other[Symbol.asyncIterator]().return!();
  await assertRejects(() => other.result(), DittoError, "it has no result");
  assertEquals((await model.generate("Say", { maxNewTokens: 2 }).result()).tokens.length, 2);
});

Deno.test("a second generation while one runs fails with a sentence; the first goes on", async () => {
  const model = await load();
  const options = { maxNewTokens: 30, ignoreEos: true };
  const alone = await model.generate("Say", options).result();
  const first = model.generate("Say", options);
  const second = model.generate("Say", options);
  const iterator = first[Symbol.asyncIterator]();
  const tokens: number[] = [...(await iterator.next()).value.tokens];
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => second.result(), DittoError, "in the middle of another generation");
  }
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    tokens.push(...next.value.tokens);
  }
  assertEquals(tokens, alone.tokens);
  assertEquals((await model.generate("Say", options).result()).tokens, alone.tokens);
});

Deno.test("an answer ends where the context ends, on every path", async () => {
  const model = await load();
  for (const promptLookupNumTokens of [0, 31]) {
    for (const length of [1, 255, 256, 257, 390, 398, 399]) {
      const prompt = Array.from({ length }, (_, i) => i % 5);
      const options = {
        maxNewTokens: 1000,
        ignoreEos: true,
        promptLookupNumTokens,
        cachePrompt: false,
      };
      const { tokens, stopReason } = await model.generate(prompt, options).result();
      assertEquals([tokens.length, stopReason], [400 - length, "length"]);
    }
  }
});

Deno.test("a recorded answer longer than the context is taken as far as it fits", async () => {
  const model = await load();
  const replay = Array.from({ length: 2000 }, (_, i) => i % 50);
  const { tokens } = await model.generate([1, 2, 3], {
    replay,
    maxNewTokens: 9999,
    ignoreEos: true,
  }).result();
  assertEquals(tokens, replay.slice(0, 397));
});

Deno.test(
  "stop strings end an answer alike with lookup and without",
  seeded(async (random) => {
    const model = await load();
    for (let i = 0; i < 6; i++) {
      const prompt = somePrompt(random, model);
      const options = { maxNewTokens: 40, ignoreEos: true, logitsDigest: true };
      const { text } = await model.generate(prompt, options).result();
      const start = random.below(Math.max(1, text.length - 3));
      const stop = text.slice(start, start + random.between(1, 3)) || "x";
      const [plain, ...others] = await series(
        [0, 1, 3, 10, 31],
        (promptLookupNumTokens) =>
          model.generate(prompt, { ...options, stop, promptLookupNumTokens }).result(),
      );
      assertEquals(plain!.stopReason, text.includes(stop) ? "stop" : "length");
      assertEquals(plain!.text, text.split(stop)[0]);
      for (const other of others) {
        assertEquals(
          [other.tokens, other.text, other.stopReason, other.logitsDigest],
          [plain!.tokens, plain!.text, plain!.stopReason, plain!.logitsDigest],
        );
      }
    }
  }),
);

Deno.test(
  "a temperature next to 0 takes the likeliest token, as 0 does",
  seeded(async (random) => {
    const model = await load();
    const prompt = somePrompt(random, model);
    const options = { maxNewTokens: 20, ignoreEos: true };
    const { tokens } = await model.generate(prompt, options).result();
    for (const temperature of [1e-6, 1e-30, 1e-38, Number.MIN_VALUE]) {
      for (const cuts of [{}, { topK: 5, topP: 0.9, minP: 0.1 }]) {
        const drawn = await model.generate(prompt, { ...options, temperature, ...cuts }).result();
        assertEquals(drawn.tokens, tokens, `temperature ${temperature}, ${Deno.inspect(cuts)}`);
      }
    }
  }),
);

/** Results of calls, one after another. */
async function series<T, U>(values: readonly T[], call: (value: T) => Promise<U>): Promise<U[]> {
  const results: U[] = [];
  for (const value of values) results.push(await call(value));
  return results;
}
