import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { shapeJson } from "../../bench/shapes.ts";
import { loadFrom } from "../../decode/load_model.ts";
import { generationBuffers } from "../../decode/state.ts";
import type { DeviceInfo } from "../../kernels/device.ts";
import { DittoError, listDevices, type LoadOptions } from "../../mod.ts";
import { parseConfig } from "../../model/config.ts";
import { layOutWeights, type WeightLayout } from "../../model/layout.ts";
import { checkMemory, dimensions, promptChunk, workspaces } from "../../model/memory.ts";
import { GpuSpy } from "../gpu_spy.ts";
import { seeded } from "../random.ts";
import { madeUp } from "./made_up.ts";

const SMALL = {
  vocab_size: 200,
  hidden_size: 40,
  intermediate_size: 60,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
/** So that nothing is measured. */
const rowCosts = new Array(32).fill(1);

Deno.test(
  "model.memory is what is allocated",
  seeded(async (random) => {
    const hasF16 = (await listDevices())[0]!.hasF16;
    const precisions = hasF16 ? ["f16", "f32"] as const : ["f32"] as const;
    for (const kvCache of ["f16", "f32"] as const) {
      const source = madeUp({
        ...SMALL,
        sliding_window: random.pick([null, 8]),
        tie_word_embeddings: random.chance(0.5),
        vocab_size: random.between(20, 5000),
      }, random.pick(["BF16", "F16", "F32", "F8"]));
      const context = random.between(2, 700);
      const device = random.chance(0.5) ? {} : { maxBindingBytes: 900_000 };
      using spy = new GpuSpy();
      const promptPrecision = random.pick(precisions);
      const options = { context, kvCache, device, promptPrecision, rowCosts };
      using model = await loadFrom(source, null, options);
      const alive = [...spy.aliveBuffers];
      const isUniform = ({ usage }: GPUBuffer) => (usage & GPUBufferUsage.UNIFORM) !== 0;
      const transient = alive.filter(({ label }) => label === "staging");
      const counted = alive.filter((b) => !isUniform(b) && !transient.includes(b));
      const inTextures = [...spy.aliveTextures].map(({ width, height }) => 16 * width * height);
      const bytes = [...counted.map(({ size }) => size), ...inTextures].reduce((a, b) => a + b, 0);
      const { memory } = model;
      assertEquals(memory.total, memory.weights + memory.cache + memory.workspaces);
      // Every buffer is rounded up to 16 bytes.
      assert(bytes >= memory.total && bytes < memory.total + 16 * counted.length);
      for (const { label, size } of alive.filter(isUniform)) {
        assert(size <= 64, `the uniform "${label}" has ${size} bytes`);
      }
    }
  }),
);

const refusals: [what: string, options: LoadOptions, message: RegExp][] = [
  [
    "a weight matrix of which a unit does not fit",
    { device: { maxBindingBytes: 700 } },
    /^The buffer for the weights of layer 0 qkv needs 1\.6 kB, and .+ allows 0\.7 kB a buffer: use a device with larger buffers\.$/,
  ],
  [
    "a KV cache",
    { context: 2000, kvCache: "f32", device: { maxBindingBytes: 320_000 } },
    /^The buffer for one layer's KV cache needs 330\.2 kB, and .+ allows 320\.0 kB a buffer: ask for a context of 1936 tokens at most\.$/,
  ],
  [
    "a workspace",
    { context: 64, device: { maxBindingBytes: 25_596 } },
    /^The buffer for the workspace "logits" needs 25600 bytes, and .+ allows 25596 bytes a buffer: use a device with larger buffers\.$/,
  ],
  [
    "a workspace by more",
    { context: 64, device: { maxBindingBytes: 25_000 } },
    /^The buffer for the workspace "logits" needs 25\.6 kB, and .+ allows 25\.0 kB a buffer: use a device with larger buffers\.$/,
  ],
];

for (const [what, options, message] of refusals) {
  Deno.test(`loading refuses ${what} that the device does not allow, before anything is allocated`, async () => {
    using spy = new GpuSpy();
    const source = madeUp(SMALL, "F32");
    const load = () => loadFrom(source, null, { context: 64, rowCosts, ...options });
    const error = await assertRejects(load, DittoError);
    assert(message.test(error.message), error.message);
    assertEquals(spy.buffers, []);
    assertEquals(spy.aliveDevices.size, 0);
  });
}

Deno.test({
  name:
    "on a software device a model has to fit what the machine has left, also where only what is free is known",
  ignore: !(await listDevices())[0]!.isSoftware,
  fn: async () => {
    const { systemMemoryInfo } = Deno;
    const load = async (available: number, free: number) => {
      Deno.systemMemoryInfo = () => ({ ...systemMemoryInfo(), available, free });
      using _model = await loadFrom(madeUp(SMALL, "F32"), null, { context: 64, rowCosts });
    };
    try {
      const [little, enough] = [20_000, 100e6];
      await load(enough, little);
      await load(0, enough); // as on Windows
      for (const [available, free] of [[little, enough], [0, little]] as const) {
        const error = await assertRejects(
          () => load(available, free),
          DittoError,
          "has 20.0 kB left",
        );
        assertEquals(error.code, "memory");
      }
    } finally {
      Deno.systemMemoryInfo = systemMemoryInfo;
    }
  },
});

const DEVICE: DeviceInfo = {
  name: "a device",
  subgroupSize: 32,
  subgroupVaries: false,
  hasF16: true,
  convertsF16: true,
  isSoftware: false,
  maxBindingBytes: 2 ** 31 - 4,
  maxBufferBytes: 2 ** 40,
};

const MISTRAL_7B = shapeJson("mistral-7b");

Deno.test("checkMemory() adds up Mistral-7B, with a limit of 128 MiB a buffer and without", () => {
  const config = parseConfig({ ...MISTRAL_7B, sliding_window: null });
  const d = dimensions(config, 4096, "f16");
  for (const maxBindingBytes of [128 << 20, 2 ** 31 - 4]) {
    const layout = layOutWeights(config, () => "BF16", maxBindingBytes);
    const others = (context: number) => generationBuffers(config.vocabSize, context);
    const need = checkMemory(config, layout, d, { ...DEVICE, maxBindingBytes }, others);
    // 7.24 billion weights of two bytes; the gains of the norms are kept in f32.
    const gains = 65 * 4096;
    assertEquals(need.weights, (7_241_732_096 - gains) * 2 + gains * 4);
    // 4096 positions and 64 fresh ones, keys and values of 8 heads of 128, two bytes each, 32 layers.
    assertEquals(need.cache, (4096 + 64) * 2 * 8 * 128 * 2 * 32);
    assert(need.workspaces < 100e6, `workspaces of ${need.workspaces} bytes`);
  }
});

Deno.test("a sliding window bounds the cache, whatever the context", () => {
  const config = parseConfig({ ...MISTRAL_7B, sliding_window: 4096 });
  const { capacity, slots } = dimensions(config, 8192, "f16");
  const longer = dimensions(config, 1_000_000, "f16");
  assertEquals(longer, { ...longer, capacity, slots });
  assert(capacity >= 4096 + 256);
  // What grows is the table of rotations, and nothing else.
  const [a, b] = [workspaces(config, dimensions(config, 8192, "f16")), workspaces(config, longer)];
  assertEquals({ ...a, rope: 0 }, { ...b, rope: 0 });
});

Deno.test("checkMemory() refuses what is more than the memory that is left, with all figures", () => {
  const config = parseConfig({ ...MISTRAL_7B, sliding_window: null });
  const layout = layOutWeights(config, () => "BF16", 2 ** 31 - 4);
  const d = dimensions(config, 4096, "f16");
  const need = checkMemory(config, layout, d, DEVICE, () => ({}));
  checkMemory(config, layout, d, DEVICE, () => ({}), need.total);
  const refused = (left: number) =>
    assertThrows(() => checkMemory(config, layout, d, DEVICE, () => ({}), left), DittoError);
  const error = refused(need.total - 20e6);
  const sentence =
    /^The model needs 15\.1\d GB \(weights 14\.48 GB, KV cache 545\.3 MB, workspaces \d+\.\d MB\), and a device has 15\.1\d GB left: ask for a context of 3948 tokens at most, or quantize the weights to q8 or q4, or use a smaller model\.$/;
  assert(sentence.test(error.message), error.message);
  // Two sizes that would read the same are told to the byte.
  const { message } = refused(need.total - 1);
  const start = `The model needs ${need.total} bytes (weights 14.48 GB, KV cache 545.3 MB, `;
  const left = `, and a device has ${need.total - 1} bytes left: ask for a context of 4095 tokens`;
  assert(message.startsWith(start) && message.includes(left), message);
  assertEquals(error.code, "memory");
  // A smaller context is no use where the weights are too large, nor is quantizing what is quantized.
  const q4 = layOutWeights(config, () => "Q4", 2 ** 31 - 4);
  const remedy = (layout: WeightLayout, left: number) =>
    assertThrows(() => checkMemory(config, layout, d, DEVICE, () => ({}), left), DittoError)
      .message.split(" left: ")[1];
  assertEquals(remedy(layout, 14e9), "quantize the weights to q8 or q4, or use a smaller model.");
  const smaller = "ask for a context of 1611 tokens at most, or use a smaller model.";
  assertEquals(remedy(q4, 4.4e9), smaller);
  assertEquals(remedy(q4, 1e9), "use a smaller model.");
  const projections = (tensor: string) => tensor.includes("_proj") ? "F8" : "BF16";
  const fp8 = layOutWeights(config, projections, 2 ** 31 - 4);
  assertEquals(remedy(fp8, 1e9), "quantize the weights to q4, or use a smaller model.");
});

Deno.test(
  "the context that checkMemory() names fits, and one token more does not",
  seeded((random) => {
    const config = parseConfig({ ...MISTRAL_7B, sliding_window: random.pick([null, 4096]) });
    const layout = layOutWeights(config, () => "Q4", 100e6);
    const promptPrecision = random.pick(["f16", "f32"] as const);
    const limit = { maxBindingBytes: random.between(100e6, 200e6) };
    const available = random.chance(0.5) ? Infinity : random.between(4.2e9, 6e9);
    const check = (context: number) => {
      const d = dimensions(config, context, "f16", promptPrecision, promptChunk(DEVICE));
      const others = (context: number) => generationBuffers(config.vocabSize, context);
      checkMemory(config, layout, d, { ...DEVICE, ...limit }, others, available);
    };
    const { message } = assertThrows(() => check(10e6), DittoError);
    const largest = Number(/a context of (\d+) tokens at most/.exec(message)?.[1]);
    check(largest);
    assertThrows(() => check(largest + 1), DittoError);
  }),
);

Deno.test("checkMemory() counts and checks the generation's buffers too", () => {
  const config = parseConfig({ ...MISTRAL_7B, sliding_window: null });
  const layout = layOutWeights(config, () => "BF16", 2 ** 31 - 4);
  const d = dimensions(config, 4096, "f16");
  const without = checkMemory(config, layout, d, DEVICE, () => ({}));
  assertEquals(
    checkMemory(config, layout, d, DEVICE, () => ({ tokens: 7 })).total,
    without.total + 7,
  );
  assertThrows(
    () => checkMemory(config, layout, d, DEVICE, () => ({ tokens: 3e9 })),
    DittoError,
    `The buffer for the workspace "tokens" needs 3.00 GB, and a device allows 2.15 GB a buffer`,
  );
});
