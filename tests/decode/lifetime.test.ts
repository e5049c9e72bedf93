/** Models come and go, devices are lost: nothing stays on the GPU and nothing hangs. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fileURLToPath } from "node:url";
import { DittoError, loadModel } from "../../mod.ts";
import { GpuSpy } from "../gpu_spy.ts";

const DIRECTORY = new URL("../fixtures/tiny-gqa-bf16", import.meta.url);
const options = { context: 400, rowCosts: new Array(32).fill(1) };
const long = { maxNewTokens: 350, ignoreEos: true, promptLookupNumTokens: 0 };

/** Waits for a promise, but not for ever. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it hangs")), 20_000);
  });
  try {
    return await Promise.race([promise, hung]);
  } finally {
    clearTimeout(timer);
  }
}

Deno.test("loading and disposing 20 times leaves nothing", async () => {
  using spy = new GpuSpy();
  for (let i = 0; i < 20; i++) {
    {
      using model = await loadModel(DIRECTORY, options);
      await model.generate([1, 2, 3], { maxNewTokens: 3, logitsDigest: true }).result();
      assertEquals(spy.aliveDevices.size, 1);
    }
    assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
  }
});

Deno.test("loading and disposing 40 times does not grow the process", async () => {
  const script = fileURLToPath(new URL("load_repeatedly.ts", import.meta.url));
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", script],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const rss: number[] = JSON.parse(new TextDecoder().decode(stdout));
  const megabytes = rss.map((bytes) => Math.round(bytes / 1e6));
  // Until the 20th load the process takes up to 140 MB in a few steps, and then goes up and down by up to 6 MB (seen in 100).
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const grown = mean(megabytes.slice(30)) - mean(megabytes.slice(20, 30));
  assert(grown < 8, `resident MB after each: ${megabytes}`);
});

Deno.test("a generation leaves no buffer behind, however it ends", async () => {
  using spy = new GpuSpy();
  using model = await loadModel(DIRECTORY, options);
  const before = spy.aliveBuffers.size;
  await model.generate("Say", { maxNewTokens: 40, logitsDigest: true }).result();
  assertEquals(spy.aliveBuffers.size, before);
  for await (const _ of model.generate("Say", { ...long, logitsDigest: true })) break;
  assertEquals(spy.aliveBuffers.size, before);
  await model.generate("Say", { signal: AbortSignal.abort(), logitsDigest: true }).result();
  assertEquals(spy.aliveBuffers.size, before);
});

Deno.test("logits that there is no memory for end a generation, and the model lives on", async () => {
  using spy = new GpuSpy();
  using model = await loadModel(DIRECTORY, options);
  const before = spy.aliveBuffers.size;
  const made = [...spy.aliveBuffers].reduce((sum, { size }) => sum + size, 0);
  const { vocabSize } = model.config;
  const wanted = { maxNewTokens: 40, logitsDigest: true };
  const first = await model.generate("Say", wanted).result();
  // Room for nothing, and for the logits of 16 steps of 32 rows but not for what they are read back to.
  for (const more of [0, 16 * 32 * vocabSize * 4 + 10_000]) {
    spy.memoryBytes = made + more;
    const generation = model.generate("Say", wanted);
    await assertRejects(
      () => soon(generation.result()),
      DittoError,
      "no memory left to read logits",
    );
    assertEquals(spy.aliveBuffers.size, before);
  }
  spy.memoryBytes = Infinity;
  assertEquals((await model.generate("Say", wanted).result()).logitsDigest, first.logitsDigest);
});

Deno.test("using and await using free the model; later uses say so", async () => {
  using spy = new GpuSpy();
  const generation = await (async () => {
    await using model = await loadModel(DIRECTORY, options);
    return model.generate("Say", long);
  })();
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
  await assertRejects(() => soon(generation.result()), DittoError, "disposed");

  const model = await loadModel(DIRECTORY, options);
  model[Symbol.dispose]();
  model[Symbol.dispose]();
  await model[Symbol.asyncDispose]();
  assertThrows(
    () => model.generate("Say"),
    DittoError,
    "The model was disposed of; load it again.",
  );
  assertEquals(model.detokenize(model.tokenize("abc")), "abc"); // needs no GPU
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
});

Deno.test("what is no directory, text or list of tokens is refused with a sentence", async () => {
  for (const bad of [null, 3, undefined, new URL("https://example.org/model")]) {
    await assertRejects(
      () => loadModel(bad as URL),
      DittoError,
      "must be a path or a file: URL",
    );
  }
  await assertRejects(() => loadModel(""), DittoError, 'the model directory "": ');
  await assertRejects(() => loadModel("/no/such"), DittoError, "/no/such: it does not exist.");
  using model = await loadModel(DIRECTORY, options);
  for (const bad of [null, 3, undefined, {}]) {
    assertThrows(() => model.tokenize(bad as string), DittoError, "it must be text");
  }
  for (const bad of [null, 3, "abc", ["a"], [1, NaN]]) {
    assertThrows(() => model.detokenize(bad as number[]), DittoError, "a list of token ids");
    assertThrows(() => model.tokenTexts(bad as number[]), DittoError, "a list of token ids");
  }
});

Deno.test("disposing in the middle of a generation ends it with a sentence", async () => {
  using spy = new GpuSpy();
  const model = await loadModel(DIRECTORY, options);
  const generation = model.generate("Say", long);
  const iterator = generation[Symbol.asyncIterator]();
  await iterator.next();
  model[Symbol.dispose]();
  await assertRejects(() => soon(generation.result()), DittoError, "disposed");
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
});

Deno.test("a device that is lost ends generations with a sentence, at once and later", async () => {
  using spy = new GpuSpy();
  using model = await loadModel(DIRECTORY, options);
  const generation = model.generate("Say", long);
  const iterator = generation[Symbol.asyncIterator]();
  await iterator.next();
  const [device] = spy.aliveDevices;
  device!.destroy();
  const lost =
    /^The GPU device \(.+\) was lost: .+ the middle of a generation: load the model again\.$/;
  for (let i = 0; i < 2; i++) {
    const error = await assertRejects(() => soon(generation.result()), DittoError);
    assert(lost.test(error.message), error.message);
  }
  // Whoever iterates gets it even if nobody waited for the piece that failed.
  await assertRejects(() => soon(iterator.next()), DittoError, "was lost");
  const next = await assertRejects(() => soon(model.generate("Say", long).result()), DittoError);
  assert(lost.test(next.message), next.message);
});

Deno.test("a device that is lost while a model is loaded is not said to be lost in a generation", async () => {
  using spy = new GpuSpy();
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = function (...range) {
    for (const device of spy.aliveDevices) device.destroy();
    return mapAsync.apply(this, range);
  };
  try {
    const error = await assertRejects(() => soon(loadModel(DIRECTORY, options)), DittoError);
    assert(/^The GPU device \(.+\) was lost: [^.]+\.$/.test(error.message), error.message);
  } finally {
    GPUBuffer.prototype.mapAsync = mapAsync;
  }
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
});
