/** Programs tell failures apart by their code. */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { devicesText } from "../../cli/devices.ts";
import { DittoError, loadModel, type Message, saveQuantized } from "../../mod.ts";
import { renderChat } from "../../model/chat_template.ts";
import { GpuSpy } from "../gpu_spy.ts";

const fixture = (name: string) => new URL(`../fixtures/${name}`, import.meta.url);
const DIRECTORY = fixture("tiny-gqa-bf16");
const options = { context: 400, rowCosts: new Array(32).fill(1) };
const chat = [{ role: "user", content: "Say" }];

/** The code of the failure that is thrown. */
async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assertInstanceOf(error, DittoError);
    return error.code;
  }
  return "none";
}

Deno.test("a failure is of the kind that its code says, by default of no other", () => {
  assertEquals(new DittoError("It failed.").code, "other");
  const cause = new Error("why");
  const error = new DittoError("It failed.", { cause, code: "device" });
  assertEquals([error.code, error.cause, error.message], ["device", cause, "It failed."]);
});

Deno.test("wrong options and prompts are input; a wrong checkpoint, or what is over, is not", async () => {
  const model = await loadModel(DIRECTORY, options);
  {
    using _ = model;
    for (
      const work of [
        () => model.generate("Say", { temperature: -1 }),
        () => model.generate("Say", { ignoreEos: 1 as unknown as boolean }),
        () => model.generate("Say", { max_tokens: 7 } as object),
        () => model.generate("Say", { drafter: "trees" as "tree" }),
        () => model.generate("Say", { stop: [""] }),
        () => model.generate("Say", { signal: 7 as unknown as AbortSignal }),
        () => model.generate([]),
        () => model.generate([1e9]),
        () => model.generate(new Array(400).fill(1)),
        () => model.generate(7 as unknown as string),
        () => model.generate([{ role: "user" } as Message]),
        () => model.detokenize(["a" as unknown as number]),
        () => loadModel(DIRECTORY, { context: 1 }),
        () => loadModel(DIRECTORY, { kvCache: "f8" as "f16" }),
        () => loadModel(DIRECTORY, { quantize: "q2" as "q4" }),
        () => loadModel(DIRECTORY, { rowCosts: [] }),
        () => loadModel(DIRECTORY, { prompt: new Array(5000).fill(1), context: 5000 }),
        () => loadModel(fixture("nemo-bf16"), { prompt: "text without a tokenizer" }),
        () => saveQuantized(DIRECTORY, "/no/such", "q3" as "q4"),
        () => renderChat(undefined, chat, {}),
        () => renderChat("{{ raise_exception('No.') }}", chat, {}),
      ]
    ) assertEquals(await codeOf(work), "input", String(work));
    const read = model.generate("Say", { maxNewTokens: 1 });
    for await (const _ of read);
    assertEquals(await codeOf(() => read[Symbol.asyncIterator]()), "other");
  }
  assertEquals(await codeOf(() => model.generate("Say")), "other");
  assertEquals(await codeOf(() => loadModel("/no/such")), "other");
  assertEquals(await codeOf(() => renderChat("{% what %}", chat, {})), "other");
});

Deno.test("a model that is busy, without memory, or on a device that was lost says so", async () => {
  using spy = new GpuSpy();
  using model = await loadModel(DIRECTORY, options);
  const answer = (more = {}) => model.generate("Say", { maxNewTokens: 20, ...more }).result();
  const first = answer({ maxNewTokens: 300, ignoreEos: true });
  assertEquals(await codeOf(answer), "busy");
  await first;
  assertEquals(await codeOf(answer), "none");

  spy.memoryBytes = 0;
  assertEquals(await codeOf(() => answer({ logitsDigest: true })), "memory");
  assertEquals(await codeOf(() => loadModel(DIRECTORY, options)), "memory");
  const device = { maxBindingBytes: 1000 };
  assertEquals(await codeOf(() => loadModel(DIRECTORY, { ...options, device })), "memory");
  spy.memoryBytes = Infinity;
  assertEquals(await codeOf(() => answer({ logitsDigest: true })), "none");

  const lose = () => spy.aliveDevices.forEach((device) => device.destroy());
  lose();
  assertEquals(await codeOf(answer), "device");
  assertEquals(await codeOf(answer), "device");
  assertEquals(
    await codeOf(() => loadModel(DIRECTORY, { ...options, onProgress: lose })),
    "device",
  );
});

Deno.test("a device that does nothing and reports no error, as Metal's may, is a failure of the device", async () => {
  using model = await loadModel(DIRECTORY, options);
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  try {
    GPUComputePassEncoder.prototype.dispatchWorkgroups = () => {};
    assertEquals(
      await codeOf(() => model.generate("Say", { maxNewTokens: 40 }).result()),
      "device",
    );
  } finally {
    GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups;
  }
  assertEquals(await codeOf(() => model.generate("Say", { maxNewTokens: 40 }).result()), "none");
});

Deno.test("a device that there is not, or that its driver refuses, is a failure of the device", async () => {
  const { requestAdapter } = GPU.prototype;
  const { requestDevice } = GPUAdapter.prototype;
  try {
    GPUAdapter.prototype.requestDevice = () => Promise.reject(new Error("refused"));
    assertEquals(await codeOf(() => loadModel(DIRECTORY, options)), "device");
    GPU.prototype.requestAdapter = () => Promise.resolve(null);
    assertEquals(await codeOf(() => loadModel(DIRECTORY, options)), "device");
    assertEquals(await codeOf(devicesText), "device");
  } finally {
    GPU.prototype.requestAdapter = requestAdapter;
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
});
