/** Checkpoints in FP8: what is read, what it is equal to, and what is refused. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { loadFrom } from "../../decode/load_model.ts";
import { DittoError, loadModel, saveQuantized } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { parseConfig } from "../../model/config.ts";
import type { WeightSource } from "../../model/weights.ts";
import { e4m3 } from "../kernels/numbers.ts";
import { seeded } from "../random.ts";
import { madeUp, SMALL } from "./made_up.ts";
import {
  safetensorsFile,
  shardFiles,
  TempDir,
  TINY_CONFIG,
  type TinyTensor,
  tinyTensors,
} from "./tiny_checkpoint.ts";

const rowCosts = new Array(32).fill(1);

/** As in Mistral's own checkpoints. */
const MISTRAL = {
  activation_scheme: "static",
  dequantize: false,
  modules_to_not_convert: ["model.vision_tower", "model.multi_modal_projector", "lm_head"],
  quant_method: "fp8",
  weight_block_size: null,
};

/** As in vLLM's older ones. */
const VLLM = { activation_scheme: "static", ignored_layers: ["lm_head"], quant_method: "fp8" };

/** As llm-compressor writes it (compressed-tensors 0.20). */
const COMPRESSED = {
  config_groups: {
    group_0: {
      format: "float-quantized",
      input_activations: { dynamic: true, num_bits: 8, strategy: "token", type: "float" },
      output_activations: null,
      targets: ["Linear"],
      weights: {
        actorder: null,
        block_structure: null,
        dynamic: false,
        group_size: null,
        num_bits: 8,
        observer: "minmax",
        observer_kwargs: {},
        strategy: "channel",
        symmetric: true,
        type: "float",
      },
    },
  },
  format: "float-quantized",
  global_compression_ratio: null,
  ignore: ["lm_head"],
  kv_cache_scheme: null,
  moe_sparsity_config: null,
  quant_method: "compressed-tensors",
  quantization_status: "compressed",
  sparsity_config: {},
  transform_config: {},
};

function tensor(name: string, dtype: string, shape: number[], values: ArrayBufferView): TinyTensor {
  return { name, dtype, shape, data: new Uint8Array(values.buffer as ArrayBuffer) };
}

/** Which scales a checkpoint has. */
interface Layout {
  readonly scale: "weight_scale" | "weight_scale_inv";
  /** Their shape for a matrix of so many outputs. */
  readonly shape: (outputs: number) => number[];
  readonly dtype: "BF16" | "F32";
  /** Of the scale of activations beside them, if there is one. */
  readonly unused?: string;
}

const LAYOUTS: Readonly<Record<string, readonly [config: unknown, layout: Layout]>> = {
  "Mistral's": [
    MISTRAL,
    { scale: "weight_scale_inv", shape: () => [], dtype: "BF16", unused: "activation_scale" },
  ],
  "vLLM's": [
    VLLM,
    { scale: "weight_scale", shape: () => [1], dtype: "F32", unused: "input_scale" },
  ],
  "llm-compressor's": [
    COMPRESSED,
    { scale: "weight_scale", shape: (outputs) => [outputs, 1], dtype: "BF16" },
  ],
};

/** The tensors of a checkpoint in FP8: all projections, as is usual, but one, whose matrix is mixed then. */
function fp8Tensors({ scale, shape, dtype, unused }: Layout): TinyTensor[] {
  return tinyTensors().flatMap((own, i) => {
    if (!own.name.includes("_proj") || own.name.includes("1.self_attn.k_proj")) {
      own.data.forEach((_, at) => own.data[at] = at % 2 === 1 ? 0x3d : 29 * at); // 0.03 to 0.06
      return [own];
    }
    const codes = Uint8Array.from(
      { length: own.data.length / 2 },
      (_, at) => (37 * i + 11 * at) % 127,
    );
    const dimensions = shape(own.shape[0]!);
    const count = dimensions.reduce((a, b) => a * b, 1);
    const wide = Float32Array.from({ length: count }, (_, row) => 0.001 * (1 + row / 7));
    const scales = dtype === "F32"
      ? wide
      : Uint16Array.from(new Uint32Array(wide.buffer), (word) => word >>> 16);
    const beside = (name: string) => own.name.replace(/weight$/, name);
    return [
      tensor(own.name, "F8_E4M3", own.shape, codes),
      tensor(beside(scale), dtype, dimensions, scales),
      ...unused ? [tensor(beside(unused), "BF16", [], Uint16Array.of(0x3f80))] : [],
    ];
  });
}

/** The same weights in F32. */
function inF32(tensors: readonly TinyTensor[]): TinyTensor[] {
  return tensors.filter(({ name }) => name.endsWith("weight")).map((own) => {
    const widened = (bytes: Uint8Array, dtype: string) => {
      if (dtype === "F32") return new Float32Array(bytes.slice().buffer);
      const halves = new Uint16Array(bytes.slice().buffer);
      return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
    };
    if (own.dtype !== "F8_E4M3") {
      return tensor(own.name, "F32", own.shape, widened(own.data, own.dtype));
    }
    const found = tensors.find(({ name }) => name.startsWith(`${own.name}_scale`))!;
    const scales = widened(found.data, found.dtype);
    const inputs = own.shape[1]!;
    const values = Float32Array.from(own.data, (code, i) => {
      return e4m3(code) * scales[scales.length === 1 ? 0 : Math.floor(i / inputs)]!;
    });
    return tensor(own.name, "F32", own.shape, values);
  });
}

const files = (quantization_config: unknown, tensors: readonly TinyTensor[]) => ({
  "config.json": { ...TINY_CONFIG, quantization_config },
  "model.safetensors": safetensorsFile(tensors),
});

async function answer(directory: string, quantize?: "q8" | "q4") {
  using model = await loadModel(directory, { context: 40, quantize, rowCosts });
  const options = { maxNewTokens: 12, ignoreEos: true, logitsDigest: true };
  const { tokens, logitsDigest } = await model.generate([1, 5, 9, 5], options).result();
  return { tokens, logitsDigest };
}

for (const [whose, [config, layout]] of Object.entries(LAYOUTS)) {
  Deno.test(`a checkpoint in FP8 of ${whose} layout is read, also in shards`, async () => {
    const tensors = fp8Tensors(layout);
    await using one = await new TempDir().write(files(config, tensors));
    await using shards = await new TempDir().write({
      "config.json": { ...TINY_CONFIG, quantization_config: config },
      ...shardFiles(tensors, 3),
    });
    {
      using checkpoint = await openCheckpoint(one.path);
      assertEquals(checkpoint.config.quantization, null);
      const name = "model.layers.0.mlp.up_proj.weight";
      const { dtype, scales } = checkpoint.tensors.get(name)!;
      assertEquals([dtype, scales], ["F8", name.replace(/weight$/, layout.scale)]);
      assertEquals(checkpoint.tensors.get("lm_head.weight")!.dtype, "BF16");
    }
    assertEquals(await answer(shards.path), await answer(one.path));
  });

  Deno.test(`quantizing FP8 of ${whose} layout is quantizing the same weights in F32`, async () => {
    const tensors = fp8Tensors(layout);
    await using fp8 = await new TempDir().write(files(config, tensors));
    await using f32 = await new TempDir().write(files(null, inF32(tensors)));
    for (const quantize of ["q8", "q4"] as const) {
      assertEquals(await answer(fp8.path, quantize), await answer(f32.path, quantize));
    }
    await using saved = await new TempDir();
    await saveQuantized(fp8.path, saved.path, "q8");
    assertEquals(await answer(saved.path), await answer(fp8.path, "q8"));
  });
}

Deno.test("a model that also sees is read in FP8 as one that does not", async () => {
  const tensors = fp8Tensors(LAYOUTS["Mistral's"]![1]);
  await using plain = await new TempDir().write(files(MISTRAL, tensors));
  await using seeing = await new TempDir().write({
    "config.json": {
      architectures: ["Mistral3ForConditionalGeneration"],
      model_type: "mistral3",
      text_config: { ...TINY_CONFIG, tie_word_embeddings: false },
      quantization_config: MISTRAL,
    },
    "model.safetensors": safetensorsFile([
      ...tensors.map((tensor) => ({ ...tensor, name: `language_model.${tensor.name}` })),
      tensor("vision_tower.ln_pre.weight", "BF16", [1], new Uint8Array(2)),
    ]),
  });
  assertEquals(await answer(seeing.path), await answer(plain.path));
});

async function assertRefused(work: () => Promise<unknown>, ...parts: string[]): Promise<void> {
  const { message } = await assertRejects(work, DittoError);
  for (const part of parts) assertStringIncludes(message, part);
}

Deno.test("openCheckpoint() refuses matrices in FP8 without scales, or with others than it knows", async () => {
  const up = "model.layers.0.mlp.up_proj.weight"; // [12, 8]
  const own = tensor(up, "F8_E4M3", [12, 8], new Uint8Array(96));
  const one = new Float32Array(1);
  const refuse = async (extras: readonly TinyTensor[], ...parts: string[]) => {
    const tensors = [...tinyTensors().filter(({ name }) => name !== up), ...extras];
    await using dir = await new TempDir().write(files(MISTRAL, tensors));
    await assertRefused(() => openCheckpoint(dir.path), ...parts);
  };
  const scale = tensor(`${up}_scale`, "F32", [1], one);
  await refuse([own], up, "F8_E4M3", `${up}_scale" or`, `${up}_scale_inv"`);
  await refuse([own, scale, tensor(`${up}_scale_inv`, "F32", [], one)], up, "no other");
  for (const shape of [[12], [8, 1], [1, 12], [12, 2], [0], [12, 1, 1]]) {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const scales = tensor(`${up}_scale`, "F32", shape, values);
    await refuse([own, scales], `${up}_scale`, JSON.stringify(shape), "[12,1]");
  }
  await refuse(
    [own, tensor(`${up}_scale`, "F8_E8M0", [1], new Uint8Array(1))],
    `${up}_scale`,
    "dtype F8_E8M0",
  );
  await refuse([{ ...own, dtype: "F8_E5M2" }, scale], up, "dtype F8_E5M2");
  await refuse([{ ...own, shape: [8, 12] }, scale], up, "[8,12]", "[12,8]");
  // Scales of what is not in FP8, or of what is none of ours, would be left out.
  const bf16 = tensor(up, "BF16", [12, 8], new Uint8Array(192));
  await refuse([bf16, scale], `${up}_scale`, "will not leave it out");
  for (const name of ["k_scale", "output_scale", "weight_zero_point"]) {
    const extra = tensor(up.replace("weight", name), "F32", [1], one);
    await refuse([own, scale, extra], name, "will not leave it out");
  }
  const norm = "model.norm.weight";
  const tensors = [
    ...tinyTensors().filter(({ name }) => name !== norm),
    tensor(norm, "F8_E4M3", [8], new Uint8Array(8)),
    tensor(`${norm}_scale`, "F32", [1], one),
  ];
  await using dir = await new TempDir().write(files(MISTRAL, tensors));
  await assertRefused(() => openCheckpoint(dir.path), norm, "F8_E4M3", "norms");
});

Deno.test(
  "a weight or a scale that is no number is found while loading, also where it is quantized",
  seeded(async (random) => {
    const source = madeUp({ ...SMALL, hidden_size: 20, vocab_size: 20 }, "F8");
    const weight = "model.layers.0.mlp.down_proj.weight"; // [20, 24]
    const { scales } = source.tensors.get(weight)!;
    const load = (change: (name: string, bytes: DataView) => void, quantize?: "q8") => () =>
      loadFrom(
        {
          ...source,
          async read(name, byteOffset, into) {
            await source.read(name, byteOffset, into);
            if (byteOffset === 0) {
              change(name, new DataView(into.buffer, into.byteOffset, into.length));
            }
          },
        } satisfies WeightSource,
        null,
        { context: 20, rowCosts, quantize },
      ).then((model) => model[Symbol.dispose]());
    for (const quantize of [undefined, "q8"] as const) {
      for (const place of [0, 479, random.below(480)]) {
        const code = random.pick([0x7f, 0xff]);
        const change = (name: string, bytes: DataView) => {
          if (name === weight) bytes.setUint8(place, code);
        };
        await assertRefused(load(change, quantize), weight, "not a number");
      }
      for (const bad of [NaN, Infinity, -0.5, 0, 1e-31, 1e31]) {
        const change = (name: string, bytes: DataView) => {
          if (name === scales) bytes.setFloat32(4 * random.below(20), bad, true);
        };
        await assertRefused(load(change, quantize), scales!, String(Math.fround(bad)));
      }
    }
  }),
);

Deno.test("scanning FP8 for what is no number finds it at the end of an odd number of bytes", async () => {
  // [7, 5]: the last three bytes are not a whole word.
  const fields = {
    hidden_size: 5,
    head_dim: 2,
    intermediate_size: 7,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    vocab_size: 9,
  };
  const source = madeUp(fields, "F8");
  const broken: WeightSource = {
    ...source,
    async read(name, byteOffset, into) {
      await source.read(name, byteOffset, into);
      if (name.includes("up_proj.weight") && into.length === 35) into[34] = 0x7f;
    },
  };
  await assertRefused(
    () => loadFrom(broken, null, { context: 20, rowCosts }),
    "up_proj.weight",
    "not a number",
  );
});

Deno.test("parseConfig() takes quantization_config of FP8, and refuses by name what does more", () => {
  const read = (quantization_config: unknown) =>
    parseConfig({ ...TINY_CONFIG, quantization_config });
  const { group_0 } = COMPRESSED.config_groups;
  const withWeights = (fields: object) => ({
    ...COMPRESSED,
    config_groups: { group_0: { ...group_0, weights: { ...group_0.weights, ...fields } } },
  });
  const dense = { format: "dense", ignore: [] };
  const old = { ...COMPRESSED, quantization_status: "frozen", sparsity_config: dense };
  const naive = { format: "naive-quantized" }; // as others and older versions name it
  const named = { ...COMPRESSED, ...naive, config_groups: { group_0: { ...group_0, ...naive } } };
  const taken = [MISTRAL, VLLM, COMPRESSED, old, named, withWeights({ strategy: "tensor" })];
  for (const config of [...taken, { ...MISTRAL, dequantize: true, scale_fmt: "float" }]) {
    assertEquals(read(config).quantization, null);
  }

  const refused: (readonly [config: unknown, field: string])[] = [
    [{ ...MISTRAL, weight_block_size: [128, 128] }, "weight_block_size [128,128]"],
    [{ ...MISTRAL, scale_fmt: "ue8m0" }, 'scale_fmt "ue8m0"'],
    [{ ...MISTRAL, fmt: "e5m2" }, 'fmt "e5m2"'],
    [{ ...VLLM, kv_cache_scheme: "static" }, 'kv_cache_scheme "static"'],
    [{ ...COMPRESSED, kv_cache_scheme: { num_bits: 8 } }, "kv_cache_scheme"],
    [{ ...COMPRESSED, moe_sparsity_config: {} }, "moe_sparsity_config {}"],
    [{ ...COMPRESSED, format: "pack-quantized" }, 'format "pack-quantized"'],
    [{ ...withWeights({ type: "int" }), ...naive }, 'weights.type "int"'],
    [{ ...COMPRESSED, transform_config: { config_groups: {} } }, "transform_config.config_groups"],
    [{ ...COMPRESSED, sparsity_config: { format: "sparse-24-bitmask" } }, "sparsity_config.format"],
    [{ ...COMPRESSED, config_groups: undefined }, "config_groups"],
    [
      { ...COMPRESSED, config_groups: { group_0: { ...group_0, weights: null } } },
      "0.weights null",
    ],
    [
      { ...COMPRESSED, config_groups: { a: group_0, b: { ...group_0, format: "int-quantized" } } },
      "config_groups.b.format",
    ],
    [
      { ...COMPRESSED, config_groups: { a: { ...group_0, output_activations: {} } } },
      "config_groups.a.output_activations",
    ],
    ...Object.entries({
      num_bits: 4,
      type: "int",
      strategy: "block",
      symmetric: false,
      dynamic: true,
      group_size: 128,
      block_structure: [128, 128],
      actorder: "group",
    }).map(([field, value]) => {
      const config = withWeights({ [field]: value });
      return [config, `config_groups.group_0.weights.${field} ${JSON.stringify(value)}`] as const;
    }),
  ];
  for (const [config, field] of refused) {
    let message = "";
    try {
      read(config);
    } catch (error) {
      assert(error instanceof DittoError);
      ({ message } = error);
    }
    assertStringIncludes(message, "config.json has quantization_config.");
    assertStringIncludes(message, field);
    assertStringIncludes(
      message,
      "FP8 with a scale for each matrix or each output. Give it that, or",
    );
  }
});
