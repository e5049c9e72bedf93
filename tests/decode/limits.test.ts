/** Nothing that WebGPU would refuse is asked of a device, whatever model its memory check has let through. */
import { assert, assertEquals } from "@std/assert";
import { Engine } from "../../decode/engine.ts";
import { generationBuffers } from "../../decode/state.ts";
import { Compiler, encode } from "../../kernels/compiler.ts";
import { type DeviceInfo, Gpu } from "../../kernels/device.ts";
import { defaultProfile, profileChoices } from "../../kernels/profile.ts";
import { MAX_ROWS, type WeightType } from "../../kernels/stages.ts";
import { parseConfig } from "../../model/config.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights } from "../../model/layout.ts";
import { checkMemory, dimensions, promptChunk, type PromptPrecision } from "../../model/memory.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import { loadWeights, WeightUpload } from "../../model/weights.ts";
import { StrictDevice } from "../strict_device.ts";

type Shape = Readonly<Record<string, number | null>>;

function shape(
  [vocab_size, hidden_size, intermediate_size]: readonly [number, number, number],
  [num_attention_heads, num_key_value_heads, head_dim]: readonly [number, number, number],
  sliding_window: number | null = null,
): Shape {
  return {
    ...{ vocab_size, hidden_size, intermediate_size, sliding_window },
    ...{ num_attention_heads, num_key_value_heads, head_dim },
    num_hidden_layers: 2, // one is like the other
  };
}

const MISTRAL_7B = shape([32000, 4096, 14336], [32, 8, 128], 4096);
const SMALL_24B = shape([131072, 5120, 32768], [32, 8, 128]);
const LARGE_123B = shape([32768, 12288, 28672], [96, 8, 128]);
const ODD = shape([270_001, 4104, 14_341], [33, 11, 118], 5000); // more outputs than a dispatch has quads
const LITTLE = shape([300, 64, 64], [1, 1, 2]); // of which a device holds millions of keys and values

const DEVICES = {
  // WebGPU's least.
  least: { binding: 128 << 20, buffer: 256 << 20, subgroupSize: null, subgroupVaries: false },
  // A graphics card without Resizable BAR, as Deno 2.9 sees it: see buffersOf().
  small: { binding: 64 << 20, buffer: 64 << 20, subgroupSize: 32, subgroupVaries: false },
  // As wgpu tells of them on Linux, in whole regions.
  amd: { binding: 2 ** 31 - 256, buffer: 2 ** 31 - 256, subgroupSize: 32, subgroupVaries: true },
  nvidia: { binding: 2 ** 31 - 256, buffer: 2 ** 32, subgroupSize: 32, subgroupVaries: false },
};

const TRIED: readonly (readonly [
  model: Shape,
  device: keyof typeof DEVICES,
  weights: WeightType,
  context: number,
  cache: "f16" | "f32",
  precision: PromptPrecision,
])[] = [
  [MISTRAL_7B, "least", "BF16", 17, "f16", "f16"],
  [MISTRAL_7B, "amd", "F8", 32_768, "f32", "f16"],
  [SMALL_24B, "least", "BF16", 4096, "f16", "f32"],
  [SMALL_24B, "small", "Q4", 8192, "f16", "f16"],
  [SMALL_24B, "nvidia", "BF16", 131_072, "f32", "f16"],
  [LARGE_123B, "least", "Q8", 4096, "f32", "f16"],
  [LARGE_123B, "nvidia", "F16", 131_072, "f16", "f16"],
  [ODD, "least", "F32", 4096, "f16", "f32"],
  [ODD, "amd", "Q4", 999, "f32", "f16"],
  [ODD, "nvidia", "F8", 7000, "f16", "f16"],
  [LITTLE, "nvidia", "BF16", 128 * 65_536 + 1, "f16", "f32"],
];

/** A model whose weights are all in bf16. */
function tensorsOf(model: Shape) {
  const config = parseConfig({ architectures: ["MistralForCausalLM"], ...model });
  const tensors = new Map(
    requiredTensors(config).map(({ name, shape }) => {
      const byteLength = 2 * shape.reduce((elements, size) => elements * size, 1);
      return [name, { dtype: "BF16" as const, byteLength }];
    }),
  );
  return { config, tensors };
}

for (const [model, name, weights, context, cache, precision] of TRIED) {
  const title = `${model.num_attention_heads} heads, ${model.vocab_size} tokens, in ${weights}`;
  Deno.test(`${title}, ${context} positions in ${cache}, prompts in ${precision}, on ${name}`, async () => {
    const { binding, buffer, ...subgroups } = DEVICES[name];
    const info: DeviceInfo = {
      ...{ name, ...subgroups, hasF16: true, convertsF16: true, isSoftware: false },
      ...{ maxBindingBytes: binding, maxBufferBytes: buffer },
    };
    const strict = new StrictDevice({
      maxStorageBufferBindingSize: binding,
      maxBufferSize: buffer,
    });
    const gpu = new Gpu(strict.device, info);
    const { config, tensors } = tensorsOf(model);
    const layout = layOutWeights(config, () => weights, Math.min(binding, buffer));
    const d = dimensions(config, context, cache, precision, promptChunk(info));
    checkMemory(config, layout, d, info, (context) => generationBuffers(config.vocabSize, context));

    const read = () => Promise.reject(new Error("nothing is read"));
    const upload = new WeightUpload(gpu, { config, tensors, read }, layout);
    // With the most workgroups that may be chosen.
    const threads = Math.min(...profileChoices(info).threads);
    const compiler = new Compiler(gpu, { ...defaultProfile(info), threads });
    const forward = new Forward(gpu, compiler, config, upload.weights, d);
    await new Engine(gpu, compiler, forward, config.vocabSize, context).warmUp(); // all stages
    const pass = strict.device.createCommandEncoder().beginComputePass();
    forward.encode(pass, MAX_ROWS, context);
    encode(pass, forward.promptDispatches(new Array(d.promptRows).fill(0), 0));
    assertEquals([...strict.refused], []);
    assert(strict.dispatches > 50, `${strict.dispatches} dispatches`);
  });
}

for (const weights of ["BF16", "Q4"] as const) {
  Deno.test(`of weights in ${weights} no more is on its way to a device than one block of memory holds`, async () => {
    const limits = { maxStorageBufferBindingSize: 128 << 20, maxBufferSize: 256 << 20 };
    const strict = new StrictDevice(limits);
    const gpu = new Gpu(
      strict.device,
      { name: "made up", maxBufferBytes: limits.maxBufferSize } as DeviceInfo,
    );
    const { config, tensors } = tensorsOf(MISTRAL_7B);
    const layout = layOutWeights(config, () => weights, limits.maxStorageBufferBindingSize);
    await loadWeights(gpu, { config, tensors, read: () => Promise.resolve() }, layout);
    assertEquals([...strict.refused], []);
  });
}
