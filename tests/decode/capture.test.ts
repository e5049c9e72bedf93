/** Reading logits back for digests: those of a large vocabulary leave room for few steps. */
import { assertEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { Capture } from "../../decode/capture.ts";
import { loadFrom } from "../../decode/load_model.ts";
import { MAX_BATCH } from "../../decode/pacing.ts";
import { Compiler } from "../../kernels/compiler.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { GpuSpy } from "../gpu_spy.ts";
import { madeUp, SMALL } from "../model/made_up.ts";
import { rowCosts } from "./one_model.ts";

Deno.test("a digest is the same, however few steps there is room for, with lookup and without", async () => {
  const vocab = 5000;
  const source = madeUp({ ...SMALL, vocab_size: vocab }, "BF16");
  const stepBytes = MAX_ROWS * vocab * 4;
  const found: { tokens: readonly number[]; digest: string | undefined }[] = [];
  for (const room of [MAX_BATCH, 3.5, 1.5]) { // steps
    using spy = new GpuSpy();
    const device = { maxBindingBytes: room * stepBytes };
    using model = await loadFrom(source, null, { context: 128, rowCosts, device });
    for (const promptLookupNumTokens of [0, 31]) {
      const options = { maxNewTokens: 60, ignoreEos: true, promptLookupNumTokens };
      const { tokens, logitsDigest: digest } = await model.generate([1, 2, 3], {
        ...options,
        logitsDigest: true,
      }).result();
      found.push({ tokens, digest });
      assertEquals(found.at(-1), found[0], `room for ${room} steps`);
    }
    const sizes = spy.buffers.filter(({ label }) => label === "captured logits")
      .map(({ size }) => size);
    assertEquals(sizes, Array(2).fill(Math.floor(room) * stepBytes));
  }
  assertEquals(found[0]!.tokens.length, 60);
});

Deno.test("logits take 64 MiB at most until they are read, and whatever one step needs", async () => {
  using gpu = await openGpu();
  const compiler = new Compiler(gpu);
  const [state, rows, logits] = ["state", "rows", "logits"].map((name) => gpu.buffer(name, 1024));
  const buffers = { state: state!, rows: rows!, logits: logits! };
  const stepsOf = (vocab: number) => {
    using capture = new Capture(gpu, compiler, buffers, vocab, MAX_BATCH);
    assertEquals(capture.stepBytes, MAX_ROWS * vocab * 4);
    return capture.steps;
  };
  assertEquals([32_000, 70_000, 131_072, 600_000].map(stepsOf), [16, 7, 4, 1]);
});

Deno.test("what keeps logits is compiled when a digest is first asked for, and the program has a turn then", async () => {
  using model = await loadFrom(madeUp(SMALL, "BF16"), null, { context: 128, rowCosts });
  const events: string[] = [];
  let hadTurn = true;
  const { createComputePipeline } = GPUDevice.prototype;
  const { beginComputePass } = GPUCommandEncoder.prototype;
  GPUDevice.prototype.createComputePipeline = function (...descriptor) {
    events.push("kernel");
    hadTurn = false;
    setImmediate(() => hadTurn = true);
    setTimeout(() => hadTurn = true); // a turn of the one kind or the other
    return createComputePipeline.apply(this, descriptor);
  };
  GPUCommandEncoder.prototype.beginComputePass = function (...descriptor) {
    events.push(hadTurn ? "pass" : "pass without a turn");
    return beginComputePass.apply(this, descriptor);
  };
  try {
    const options = { maxNewTokens: 1, logitsDigest: true };
    for (let i = 0; i < 2; i++) await model.generate([1], options).result();
    assertEquals(events, ["kernel", "pass", "pass"]);
  } finally {
    GPUDevice.prototype.createComputePipeline = createComputePipeline;
    GPUCommandEncoder.prototype.beginComputePass = beginComputePass;
  }
});
