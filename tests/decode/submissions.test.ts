/** The decoding loop: what is submitted, what is waited for, and when. */
import { assert, assertEquals } from "@std/assert";
import { loadModel } from "../../mod.ts";
import { promptChunk } from "../../model/memory.ts";
import { DIRECTORY, free, load, rowCosts } from "./one_model.ts";

Deno.test.afterAll(free);

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

Deno.test("tokens a second are those of the time after the prompt", async () => {
  const model = await load();
  const start = performance.now();
  const { tokens, timing, tokensPerSecond } = await model.generate([1, 2, 3], {
    maxNewTokens: 60,
    ignoreEos: true,
  }).result();
  const all = performance.now() - start;
  const { prefillMs, decodeMs } = timing;
  assert(
    prefillMs > 0 && decodeMs > 0 && prefillMs + decodeMs <= all,
    `${Deno.inspect(timing)} of ${all} ms`,
  );
  assertEquals([tokens.length, tokensPerSecond], [60, 60 / decodeMs * 1000]);
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
