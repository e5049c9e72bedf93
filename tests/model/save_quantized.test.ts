/** Quantized checkpoints that are written to disk answer as those quantized while loading. */
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  DittoError,
  loadModel,
  type Quantization,
  saveQuantized,
  type SaveQuantizedOptions,
} from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import { FLOAT_BYTES } from "../../kernels/weight_types.ts";
import { GpuSpy } from "../gpu_spy.ts";
import { e4m3 } from "../kernels/numbers.ts";
import { quantize } from "../kernels/quantization.ts";
import { madeUp } from "./made_up.ts";
import {
  openFiles,
  safetensorsFile,
  TempDir,
  TINY_CONFIG,
  tinyTensors,
  writeCheckpoint,
} from "./tiny_checkpoint.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);
const PROMPT = [1, 5, 9, 5, 9, 5, 7];

async function answer(directory: string, quantize?: Quantization) {
  using model = await loadModel(directory, {
    context: 64,
    ...(quantize && { quantize }),
    rowCosts: new Array(32).fill(1),
  });
  const options = { maxNewTokens: 20, ignoreEos: true, logitsDigest: true };
  const { tokens, logitsDigest } = await model.generate(PROMPT, options).result();
  return { tokens, logitsDigest, weights: model.memory.weights };
}

for (
  const [fixture, quantize, maxShardBytes] of [
    ["tied-bf16", "q4", 4e9],
    ["odd-f32", "q8", 30_000],
    ["headdim-f16", "q4", 1],
    ["ministral3-bf16", "q8", 4e9],
    ["mistral-fp8", "q4", 4e9],
  ] as const
) {
  Deno.test(`saveQuantized(): ${fixture} in ${quantize} loads again and answers alike`, async () => {
    const source = fileURLToPath(new URL(fixture, FIXTURES));
    await using dir = new TempDir();
    const target = `${dir.path}/new/${quantize}`;
    const seen: number[] = [];
    const bytes = await saveQuantized(source, target, quantize, {
      maxShardBytes,
      onProgress: ({ loadedBytes, totalBytes }) => seen.push(loadedBytes / totalBytes),
    });
    assertEquals(seen.at(-1), 1);
    assertEquals(seen, seen.toSorted((a, b) => a - b));
    assertEquals(await answer(target), await answer(source, quantize));

    using checkpoint = await openCheckpoint(target);
    assertEquals(checkpoint.config.quantization, quantize);
    const sizes = Array.from(checkpoint.tensors.values(), ({ byteLength }) => byteLength);
    assertEquals(sizes.reduce((a, b) => a + b), bytes);
    const files = new Set(Array.from(checkpoint.tensors.values(), ({ file }) => file));
    assert(maxShardBytes === 4e9 ? files.size === 1 : files.size > 1);
    for (const { name } of Deno.readDirSync(source)) {
      if (/safetensors|^config.json$/.test(name)) continue;
      assertEquals(Deno.readFileSync(`${target}/${name}`), Deno.readFileSync(`${source}/${name}`));
    }
  });
}

for (const dtype of ["F32", "F8"] as const) {
  Deno.test(`saveQuantized() goes on with a tensor where its last chunk ended (${dtype})`, async () => {
    // 17.9 MB in F32, and more rows than a dispatch quantizes.
    const [vocab, hidden] = [70_000, 64];
    const json = {
      ...TINY_CONFIG,
      vocab_size: vocab,
      hidden_size: hidden,
      num_hidden_layers: 1,
      tie_word_embeddings: true,
    };
    const { config, tensors, read } = madeUp(json, dtype);
    const shapes = new Map(requiredTensors(config).map(({ name, shape }) => [name, shape]));
    const written = await Promise.all(
      Array.from(tensors, async ([name, { dtype, byteLength }]) => {
        const data = new Uint8Array(byteLength);
        await read(name, 0, data);
        const shape = shapes.get(name) ?? [byteLength / 4, 1]; // of scales
        return { name, dtype: dtype === "F8" ? "F8_E4M3" : dtype, shape: [...shape], data };
      }),
    );
    await using source = await writeCheckpoint(new TempDir(), json, written);
    await using target = new TempDir();
    await saveQuantized(source.path, target.path, "q8");
    using checkpoint = await openCheckpoint(target.path);
    const name = "model.embed_tokens.weight";
    const { scales } = tensors.get(name)!;
    for (const row of [0, 1, 65_533, 65_534, 65_535, 65_536, 65_537, vocab - 1]) {
      const own = new Uint8Array(FLOAT_BYTES[dtype] * hidden);
      await read(name, own.length * row, own);
      const scale = new Float32Array(1);
      if (scales) await read(scales, 4 * row, new Uint8Array(scale.buffer));
      const values = scales
        ? Float32Array.from(own, (code) => e4m3(code) * scale[0]!)
        : new Float32Array(own.buffer);
      const expected = new Uint8Array(quantize(values, hidden, "Q8").buffer);
      const found = new Uint8Array(expected.length);
      await checkpoint.read(name, row * found.length, found);
      assertEquals(found, expected, `row ${row}`);
    }
  });
}

Deno.test("saveQuantized() takes no more of the GPU with every tensor, and closes its files", async () => {
  // A copy, since tests that run beside this one in the same process may have the fixture open.
  await using source = new TempDir();
  for (const name of ["config.json", "model.safetensors"]) {
    await Deno.copyFile(new URL(`tiny-gqa-bf16/${name}`, FIXTURES), `${source.path}/${name}`);
  }
  await using target = new TempDir();
  using spy = new GpuSpy();
  let [calls, most] = [0, 0];
  await saveQuantized(source.path, target.path, "q8", {
    maxShardBytes: 100_000,
    onProgress: () => {
      calls++;
      most = Math.max(most, spy.aliveBuffers.size);
    },
  });
  assert(calls > 15, `${calls} pieces do not test what they should`);
  // What a tensor is quantized from and to, and two small ones of the quantizer.
  assert(most <= 4, `${most} buffers at once`);
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
  assertEquals([...openFiles(source.path), ...openFiles(target.path)], []);
});

async function refused(work: () => Promise<unknown>, ...parts: string[]): Promise<void> {
  const { message } = await assertRejects(work, DittoError);
  for (const part of parts) assertStringIncludes(message, part);
}

function names(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name);
}

Deno.test("saveQuantized() takes options that are undefined or null as if they were not given", async () => {
  const source = new URL("tied-bf16", FIXTURES);
  await using target = new TempDir();
  const options: { [Name in keyof SaveQuantizedOptions]-?: undefined } = {
    onProgress: undefined,
    maxShardBytes: undefined,
    signal: undefined,
    device: undefined,
  };
  const given: SaveQuantizedOptions = options;
  const nulls = Object.fromEntries(Object.keys(options).map((name) => [name, null]));
  const bytes = await saveQuantized(source, `${target.path}/a`, "q8", given);
  assertEquals(await saveQuantized(source, `${target.path}/b`, "q8", nulls), bytes);
});

Deno.test("saveQuantized() refuses what it cannot do, and leaves nothing behind", async () => {
  const tensors = tinyTensors();
  for (const { data } of tensors) data.fill(0x3c); // 0.0115
  await using source = await writeCheckpoint(new TempDir(), TINY_CONFIG, tensors);
  await using target = new TempDir();
  const { path } = target;
  await Deno.writeTextFile(`${path}/notes.txt`, "mine");
  await refused(() => saveQuantized(source.path, path, "q4"), path, "notes.txt", "empty");
  await refused(() => saveQuantized(source.path, `${path}/notes.txt/x`, "q4"), "Cannot write");
  assertEquals(Deno.readTextFileSync(`${path}/notes.txt`), "mine");
  const [q5, never] = ["q5" as "q4", undefined as unknown as "q4"];
  await refused(() => saveQuantized(source.path, `${path}/q5`, q5), '"q5"', '"q8" or "q4"');
  await refused(() => saveQuantized(source.path, `${path}/q5`, never), '"q8" or "q4"');
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(
    () => saveQuantized(source.path, `${path}/q5`, "q4", { signal }),
    Error,
    "enough",
  );
  const named = { max_shard_bytes: 7 } as object;
  await refused(
    () => saveQuantized(source.path, `${path}/q5`, "q4", named),
    "called maxShardBytes",
  );
  for (const maxShardBytes of [-1, "5" as unknown as number]) {
    const save = () => saveQuantized(source.path, `${path}/q5`, "q4", { maxShardBytes });
    await refused(save, `is ${JSON.stringify(maxShardBytes)}`, "a number above 0");
  }
  const onProgress = 5 as unknown as () => void;
  await refused(
    () => saveQuantized(source.path, `${path}/q5`, "q4", { onProgress }),
    "is 5",
    "function",
  );
  if (Deno.build.os !== "windows") { // where not everybody may make a link
    await Deno.symlink("nowhere", `${source.path}/tokenizer.model`);
    await refused(
      () => saveQuantized(source.path, `${path}/q5`, "q4"),
      "Cannot read",
      "tokenizer.model",
    );
    await Deno.remove(`${source.path}/tokenizer.model`);
  }
  assertEquals(names(path), ["notes.txt"]);

  await saveQuantized(source.path, `${path}/q8`, "q8");
  await refused(() => saveQuantized(`${path}/q8`, `${path}/q4`, "q4"), "in q8 already");
  await refused(() => loadModel(`${path}/q8`, { quantize: "q4" }), "in q8", "cannot be quantized");

  const bad = tensors.find(({ name }) => name.endsWith("1.mlp.up_proj.weight"))!;
  new Uint16Array(bad.data.buffer)[5] = 0x7f80; // infinity
  await using damaged = await writeCheckpoint(new TempDir(), TINY_CONFIG, tensors);
  for (const directory of ["bad", "very/bad/indeed"]) {
    const save = () => saveQuantized(damaged.path, `${path}/${directory}`, "q8");
    await refused(save, bad.name, "infinite");
    assertEquals(names(path).sort(), ["notes.txt", "q8"]);
  }
  await refused(() => loadModel(damaged.path, { quantize: "q8" }), bad.name, "infinite");
});

Deno.test("saveQuantized() on a device that fails says so, and leaves nothing behind", async () => {
  await using source = await writeCheckpoint(new TempDir());
  await using target = new TempDir();
  {
    using spy = new GpuSpy(100);
    await refused(() => saveQuantized(source.path, target.path, "q8"), "ran out of memory");
    assertEquals(spy.aliveDevices.size, 0);
  }
  using spy = new GpuSpy();
  const onProgress = () => spy.aliveDevices.forEach((device) => device.destroy());
  await refused(() => saveQuantized(source.path, target.path, "q8", { onProgress }), "was lost");
  assertEquals([...Deno.readDirSync(target.path)], []);
});

Deno.test("openCheckpoint() checks the tensors of a quantized checkpoint", async () => {
  const name = "model.layers.0.self_attn.q_proj.weight"; // [8, 8]: 16 bytes and one of a scale, 4 of a base
  const config = {
    ...TINY_CONFIG,
    quantization_config: { quant_method: "ditto", bits: 8, group_size: 16 },
  };
  const tensors = tinyTensors().map((tensor) => {
    if (tensor.name.endsWith("norm.weight")) return tensor;
    const bytes = Math.ceil((Math.ceil(tensor.shape[1]! / 16) * 17 + 4) / 16) * 16;
    const shape = [tensor.shape[0]!, bytes];
    return { ...tensor, dtype: "U8", shape, data: new Uint8Array(shape[0]! * bytes) };
  });
  await using dir = await writeCheckpoint(new TempDir(), config, tensors);
  const tensor = tensors.find((tensor) => tensor.name === name)!;
  {
    using checkpoint = await openCheckpoint(dir.path);
    assertEquals(checkpoint.tensors.get(name)!.dtype, "Q8");
  }
  const write = () => Deno.writeFile(`${dir.path}/model.safetensors`, safetensorsFile(tensors));
  tensor.shape = [16, 16];
  await write();
  await refused(() => openCheckpoint(dir.path), name, "[16,16]", "[8,32]");
  tensor.shape = [8, 32];
  tensor.dtype = "I8";
  await write();
  await refused(() => openCheckpoint(dir.path), name, "dtype I8", "U8");
  tensor.dtype = "BF16";
  tensor.shape = [8, 16];
  await write();
  await refused(() => openCheckpoint(dir.path), name, "[8,16]", "[8,32]");
});
