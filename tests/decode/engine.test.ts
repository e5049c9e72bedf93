/** The decoding loop: how it ends, and that generations leave nothing behind. (submissions.test.ts: what it waits for.) */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  DittoError,
  type GenerateOptions,
  type GenerationResult,
  type LanguageModel,
  loadModel,
  type Piece,
} from "../../mod.ts";
import { Random, seeded } from "../random.ts";
import { makePrompt } from "./prompts.ts";
import { DIRECTORY, free, load, rowCosts } from "./one_model.ts";

Deno.test.afterAll(free);

/** A prompt of the `i`-th kind for the model. */
function somePrompt(random: Random, model: LanguageModel): number[] {
  return makePrompt(random, random.below(30), model.config.vocabSize);
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
  assertEquals(result.accepted, pieces.reduce((sum, { accepted }) => sum + accepted, 0));
  assertEquals(result.tokensPerPass, result.tokens.length / result.passes);
  for (const { tokens, drafted, accepted, source, ngram } of pieces) {
    assert(accepted <= drafted && tokens.length === 1 + accepted);
    assert(drafted > 0 ? source >= ngram : ngram === 0 && source === 0);
  }
  // The pieces were read; the result can be had again.
  assertThrows(() => generation[Symbol.asyncIterator](), DittoError, "was read already");
  assertEquals(await generation.result(), result);
});

Deno.test("a draft counts as accepted where the answer ends with it too", async () => {
  const model = await load();
  const [eos, a, b, c] = [2, 67, 68, 69] as const; // </s>, and letters
  const others = Array.from({ length: 12 }, (_, i) => 70 + i);
  const right = async (text: number[], answer: number[], options: GenerateOptions) => {
    const rest = new Array(8).fill(7); // room for drafts
    const generation = model.generate(text, { replay: [...answer, ...rest], ...options });
    const pieces: Piece[] = [];
    for await (const piece of generation) pieces.push(piece);
    const result = await generation.result();
    assertEquals(result.accepted, pieces.reduce((sum, { accepted }) => sum + accepted, 0));
    const all = [...text, ...result.tokens];
    for (const { tokens, accepted, source } of pieces) {
      assertEquals(tokens.slice(0, accepted), all.slice(source, source + accepted));
    }
    return [result.stopReason, result.tokens, result.passes, result.accepted];
  };
  for (const drafter of ["original", "tree"] as const) {
    const again = (...tokens: number[]) => [a, ...tokens, ...others, a];
    assertEquals(await right(again(b, eos), [b, eos], { drafter }), ["eos", [b, eos], 1, 2]);
    assertEquals(await right(again(eos), [eos], { drafter }), ["eos", [eos], 1, 1]);
    assertEquals(await right(again(b), [b, eos], { drafter }), ["eos", [b, eos], 1, 1]);
    const stop = "b";
    assertEquals(await right(again(c, b), [c, b], { drafter, stop }), ["stop", [c, b], 1, 2]);
    assertEquals(await right(again(c), [c, b], { drafter, stop }), ["stop", [c, b], 1, 1]);
  }
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

/** Tries until the model is free. */
async function untilFree(model: LanguageModel): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const isFree = await model.generate("Say", { maxNewTokens: 1 }).result().then(
      () => true,
      () => false,
    );
    if (isFree) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("The model stays busy.");
}

Deno.test("an abort frees the model, though nobody reads; what was decoded by then can be read later", async () => {
  const model = await load();
  const options = { maxNewTokens: 300, ignoreEos: true, promptLookupNumTokens: 0 };
  const { tokens: whole } = await model.generate("Say", options).result();
  const abort = new AbortController();
  await using generation = model.generate("Say", { ...options, signal: abort.signal });
  const iterator = generation[Symbol.asyncIterator]();
  const pieces: Piece[] = [(await iterator.next()).value];
  abort.abort();
  await untilFree(model);
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
    pieces.push(next.value);
  }
  const { tokens, text, stopReason } = await generation.result();
  assertEquals(stopReason, "aborted");
  assertEquals(pieces.flatMap((piece) => piece.tokens), tokens);
  assertEquals(pieces.map((piece) => piece.text).join(""), text);
  assert(tokens.length < 300);
  assertEquals(tokens, whole.slice(0, tokens.length));
});

Deno.test("a generation listens to its signal only while it runs", async () => {
  const model = await load();
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...added: Parameters<typeof addEventListener>) => {
    listeners.add(added[1]);
    addEventListener.apply(signal, added);
  };
  signal.removeEventListener = (...removed: Parameters<typeof removeEventListener>) => {
    listeners.delete(removed[1]);
    removeEventListener.apply(signal, removed);
  };
  const options = { maxNewTokens: 100, ignoreEos: true, signal };
  const unread = model.generate("Say", options);
  assertEquals(listeners.size, 0);
  for await (const _ of unread) {
    assertEquals(listeners.size, 1);
    await assertRejects(() => model.generate("Say", options).result(), DittoError);
    assertEquals(listeners.size, 1);
    break;
  }
  assertEquals(listeners.size, 0);
  await model.generate("Say", options).result();
  assertEquals(listeners.size, 0);
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

Deno.test("who has left the iteration gets no more pieces, though a result was waited for", async () => {
  const model = await load();
  const generation = model.generate("The quick", { maxNewTokens: 100, ignoreEos: true });
  const iterator = generation[Symbol.asyncIterator]();
  await iterator.next();
  const result = generation.result(); // runs on
  await iterator.return!();
  assertEquals(await iterator.next(), { value: undefined, done: true });
  assertEquals((await result).stopReason, "aborted");
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
