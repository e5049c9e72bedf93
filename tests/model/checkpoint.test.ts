import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { pathToFileURL } from "node:url";
import { directoryPath, openCheckpoint } from "../../model/checkpoint.ts";
import { DittoError } from "../../model/errors.ts";
import { random as randomBelow } from "../decode/buffers.ts";
import {
  openFiles,
  safetensorsFile,
  shardFiles,
  TempDir,
  TINY_CONFIG,
  tinyTensors,
  writeCheckpoint,
} from "./tiny_checkpoint.ts";

/** Asserts that a checkpoint of these files is refused, and leaves no file open. */
async function assertRefused(files: Record<string, unknown>, ...parts: string[]): Promise<void> {
  await using dir = await new TempDir().write(files);
  const error = await assertRejects(() => openCheckpoint(dir.path), DittoError);
  for (const part of parts) assertStringIncludes(error.message, part);
  assertEquals(openFiles(dir.path), []);
}

const NORM = "model.norm.weight";
const Q_PROJ = "model.layers.1.self_attn.q_proj.weight";

Deno.test("openCheckpoint() gives every byte of a single file", async () => {
  await using dir = await writeCheckpoint(new TempDir());
  {
    using checkpoint = await openCheckpoint(dir.path);
    if (Deno.build.os === "linux") {
      assert(openFiles(dir.path).length > 0, "open files are not seen");
    }
    assertEquals(checkpoint.config.hiddenSize, 8);
    assertEquals(checkpoint.tensors.size, tinyTensors().length);
    const random = randomBelow(3);
    const reads: Promise<void>[] = []; // all at once, to see that none disturbs another
    for (const { name, shape, data } of tinyTensors()) {
      const tensor = checkpoint.tensors.get(name)!;
      assertEquals(tensor.shape, shape);
      assertEquals(tensor.byteLength, data.length);
      assertEquals(tensor.dtype, "BF16");
      assertEquals(tensor.file, `${dir.path}/model.safetensors`);
      for (let round = 0; round < 5; round++) {
        const begin = random(data.length);
        const into = new Uint8Array(random(data.length - begin + 1));
        reads.push(
          checkpoint.read(name, begin, into).then(() => {
            assertEquals(into, data.slice(begin, begin + into.length));
          }),
        );
      }
    }
    await Promise.all(reads);
  }
  assertEquals(openFiles(dir.path), []);
});

Deno.test("openCheckpoint() takes a URL, and paths with a trailing slash", async () => {
  await using dir = await writeCheckpoint(new TempDir());
  for (const place of [pathToFileURL(dir.path), pathToFileURL(`${dir.path}/`), `${dir.path}/`]) {
    using checkpoint = await openCheckpoint(place);
    assertEquals(checkpoint.tensors.get(NORM)?.file, `${dir.path}/model.safetensors`);
  }
});

Deno.test("openCheckpoint() reads shards, and prefers a single file", async () => {
  const shards = shardFiles(tinyTensors(), 3);
  await using dir = await new TempDir().write({ "config.json": TINY_CONFIG, ...shards });
  {
    using checkpoint = await openCheckpoint(dir.path);
    assertEquals(new Set([...checkpoint.tensors.values()].map(({ file }) => file)).size, 3);
    for (const { name, data } of tinyTensors()) {
      const into = new Uint8Array(checkpoint.tensors.get(name)!.byteLength);
      await checkpoint.read(name, 0, into);
      assertEquals(into, data);
    }
  }
  await dir.write({ "model.safetensors": safetensorsFile(tinyTensors()) });
  using checkpoint = await openCheckpoint(dir.path);
  assertEquals(checkpoint.tensors.get(NORM)?.file, `${dir.path}/model.safetensors`);
});

Deno.test({
  name: "openCheckpoint() follows links, as in Hugging Face's cache",
  ignore: Deno.build.os === "windows", // where not everybody may make a link
  fn: async () => {
    await using blobs = await new TempDir().write({ blob: safetensorsFile(tinyTensors()) });
    await using dir = await new TempDir().write({ "config.json": TINY_CONFIG });
    await Deno.symlink(`${blobs.path}/blob`, `${dir.path}/model.safetensors`);
    using checkpoint = await openCheckpoint(dir.path);
    assert(checkpoint.tensors.has(NORM));
  },
});

Deno.test("openCheckpoint() reads shards in a directory of their own", async () => {
  const shards = shardFiles(tinyTensors(), 2);
  const index = shards["model.safetensors.index.json"] as { weight_map: Record<string, string> };
  for (const [name, file] of Object.entries(index.weight_map)) {
    index.weight_map[name] = `weights/${file}`;
  }
  await using dir = await new TempDir().write({ "config.json": TINY_CONFIG, ...shards });
  await Deno.mkdir(`${dir.path}/weights`);
  for (const file of Object.keys(shards).filter((file) => !file.endsWith("json"))) {
    await Deno.rename(`${dir.path}/${file}`, `${dir.path}/weights/${file}`);
  }
  using checkpoint = await openCheckpoint(dir.path);
  assertEquals(checkpoint.tensors.size, tinyTensors().length);
});

Deno.test("openCheckpoint() takes the end of sequence from generation_config.json", async () => {
  await using dir = await writeCheckpoint(new TempDir());
  await dir.write({ "generation_config.json": { eos_token_id: [7, 9] } });
  using checkpoint = await openCheckpoint(dir.path);
  assertEquals(checkpoint.config.eosTokenIds, [7, 9]);
});

Deno.test("directoryPath() takes paths and file: URLs, also in a string", () => {
  for (const path of ["/a b/c", "a/b", "../a", "/", "C:\\a"]) {
    for (const isWindows of [false, true]) assertEquals(directoryPath(path, isWindows), path);
  }
  assertEquals(["a/b/", "a//", "a\\"].map((path) => directoryPath(path, false)), [
    "a/b",
    "a",
    "a\\",
  ]);
  assertEquals(
    ["a/b/", "C:\\a\\", "C:\\"].map((path) => directoryPath(path, true)),
    ["a/b", "C:\\a", "C:\\"],
  );
  if (Deno.build.os === "windows") return; // where the path of a URL begins with a drive
  for (const url of ["file:///a%20b/c", "file:///a%20b/c/", "FILE:///a%20b/c"]) {
    assertEquals([directoryPath(url), directoryPath(new URL(url))], ["/a b/c", "/a b/c"]);
  }
  for (const url of ["file://[", "file://host/a", "file:///a%2Fb"]) {
    assertThrows(() => directoryPath(url), DittoError, `The directory is ${url}: `);
  }
  const far = new URL("file://host/a");
  assertThrows(() => directoryPath(far), DittoError, "The directory is file://host/a: ");
});

Deno.test("openCheckpoint() refuses what is no checkpoint", async () => {
  await using dir = await new TempDir().write({ file: "" });
  await assertRejects(() => openCheckpoint(`${dir.path}/none`), DittoError, "none");
  await assertRejects(() => openCheckpoint(`${dir.path}/file`), DittoError, "is a file;");
  await dir.write({ "model.gguf": new Uint8Array(4) });
  await assertRejects(
    () => openCheckpoint(`${dir.path}/model.gguf`),
    DittoError,
    "GGUF is not read",
  );
  await assertRejects(() => openCheckpoint("org/model-7B"), DittoError, "hf download org/model-7B");
  await assertRefused({}, "has no config.json");
  await assertRefused({ "config.json": "{" }, "config.json is not valid JSON");
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  await assertRefused({ "config.json": pointer }, "config.json", "git lfs pull");
  await assertRefused({ "config.json": { model_type: "gpt2" } }, "gpt2");
  await assertRefused({ "config.json": TINY_CONFIG }, "has neither model.safetensors nor");
  await assertRefused(
    { "config.json": TINY_CONFIG, "pytorch_model.bin": "" },
    "found pytorch_model.bin",
  );
  await assertRefused({ "config.json": TINY_CONFIG, "model.safetensors": "" }, "has 0 bytes");
  for (
    const [file, advice] of [
      ["params.json", "Mistral's own format"],
      ["consolidated.safetensors", "Mistral's own format"],
      ["consolidated.00.pth", "Mistral's own format"],
      ["adapter_config.json", "merge_and_unload()"],
      ["snapshots", "one of the directories in its snapshots/"],
      ["mistral-7b.Q4_K_M.gguf", "GGUF is not read"],
    ] as const
  ) {
    await assertRefused({ [file]: "" }, "has no config.json", advice);
    await assertRefused({ [file]: "", "config.json": TINY_CONFIG }, "has neither", advice);
  }
  const shard = { "model-00001-of-00002.safetensors": "", "consolidated.safetensors": "" };
  await assertRefused(
    { "config.json": TINY_CONFIG, ...shard },
    "The index of the shards is missing",
  );
  await assertRefused(shard, "has no config.json", "Mistral's own format");
  await assertRefused(
    { "README.md": "" },
    "has no config.json: it is not a Hugging Face checkpoint directory.",
  );
});

Deno.test("openCheckpoint() refuses shards and index that disagree", async () => {
  const tensors = tinyTensors();
  const good = { "config.json": TINY_CONFIG, ...shardFiles(tensors, 3) };
  const second = "model-00002-of-00003.safetensors";
  const indexName = "model.safetensors.index.json";
  const weight_map = (shardFiles(tensors, 3)[indexName] as {
    weight_map: Record<string, string>;
  }).weight_map;
  const withMap = (map: unknown) => ({ ...good, [indexName]: { weight_map: map } });

  const { [second]: _, ...without } = good as Record<string, unknown>;
  await assertRefused(without, second, "is missing");
  const whole = (good as Record<string, unknown>)[second] as Uint8Array;
  await assertRefused({ ...good, [second]: whole.subarray(0, -3) }, second, "truncated");
  await assertRefused({ ...good, "model-00004-of-00004.safetensors": whole }, "does not list");

  const part = tensors.filter((_, i) => i % 3 === 1);
  await assertRefused(
    { ...good, [second]: safetensorsFile(part.slice(1)) },
    second,
    part[0]!.name,
    "but the index says so",
  );
  await assertRefused(
    { ...good, [second]: safetensorsFile([...part, tensors[0]!]) },
    tensors[0]!.name,
    "and so has",
  );
  const { [part[0]!.name]: __, ...unlisted } = weight_map;
  await assertRefused(withMap(unlisted), part[0]!.name, "does not list it");
  await assertRefused(
    withMap({ ...weight_map, [part[0]!.name]: "model-00003-of-00003.safetensors" }),
    part[0]!.name,
    "but the index says it is in",
  );
  for (const map of [null, [], {}, "x", undefined]) await assertRefused(withMap(map), "weight_map");
  const twice = JSON.stringify({ weight_map }).replace(/}}$/, `,"${NORM}":"x"}}`);
  await assertRefused({ ...good, [indexName]: twice }, NORM, "twice");
});

Deno.test("openCheckpoint() refuses an index that leaves the directory", async () => {
  const escapes = ["../x", "/etc/passwd", "a/../../x", "..", ".", "", "a//b", "a\\..\\b", "C:x"];
  for (const path of [...escapes, "a\0b", 7, null, ["x"]]) {
    const index = { weight_map: { [NORM]: path } };
    await assertRefused(
      { "config.json": TINY_CONFIG, "model.safetensors.index.json": index },
      NORM,
      "not the name of a file in its directory",
    );
  }
});

Deno.test("openCheckpoint() refuses missing, misshapen and unexpected tensors", async () => {
  const refuse = (
    change: (tensors: ReturnType<typeof tinyTensors>) => void,
    ...parts: string[]
  ) => {
    const tensors = tinyTensors();
    change(tensors);
    const file = safetensorsFile(tensors);
    return assertRefused({ "config.json": TINY_CONFIG, "model.safetensors": file }, ...parts);
  };
  const index = tinyTensors().findIndex(({ name }) => name === Q_PROJ);
  await refuse((tensors) => tensors.splice(index, 1), Q_PROJ, "incomplete");
  await refuse((tensors) => tensors.splice(0, 5), "model.embed_tokens.weight", "and 4 more");
  await refuse((tensors) => tensors[index]!.shape = [4, 16], Q_PROJ, "[4,16]", "[8,8]");
  await refuse((tensors) => tensors[index]!.shape = [64], Q_PROJ, "[64]", "[8,8]");
  await refuse((tensors) => tensors[index]!.dtype = "I16", Q_PROJ, "dtype I16");
  const extra = (name: string) => ({ name, dtype: "F32", shape: [1], data: new Uint8Array(4) });
  const bias = "model.layers.0.self_attn.q_proj.bias";
  await refuse((tensors) => tensors.push(extra(bias)), bias, "will not leave it out");
  const layer = "model.layers.2.mlp.up_proj.weight";
  await refuse((tensors) => tensors.push(extra(layer)), layer);
});

Deno.test("openCheckpoint() accepts extras that do not matter, and tied embeddings", async () => {
  const extra = (name: string, dtype: string, bytes: number) => {
    return { name, dtype, shape: [1], data: new Uint8Array(bytes) };
  };
  const config = { ...TINY_CONFIG, tie_word_embeddings: true };
  const tensors = [
    ...tinyTensors(config),
    extra("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 4),
    { ...tinyTensors(config)[0]!, name: "lm_head.weight" },
    extra("value_head.weight", "F64", 8),
    extra("position_ids", "I64", 8),
  ];
  await using dir = await writeCheckpoint(new TempDir(), config, tensors);
  using checkpoint = await openCheckpoint(dir.path);
  assert(checkpoint.config.tieWordEmbeddings);
  assert(!checkpoint.tensors.has("position_ids"));
});

Deno.test("openCheckpoint() takes a head that differs from the embedding it is said to be tied to", async () => {
  for (const vocab_size of [TINY_CONFIG.vocab_size, 300_000]) { // the latter is compared in two pieces
    const config = { ...TINY_CONFIG, vocab_size, tie_word_embeddings: true };
    const tensors = tinyTensors(config);
    const embedding = tensors[0]!;
    const isTied = async (head: typeof embedding) => {
      await using dir = await writeCheckpoint(new TempDir(), config, [...tensors, head]);
      using checkpoint = await openCheckpoint(dir.path);
      return checkpoint.config.tieWordEmbeddings;
    };
    const head = { ...embedding, name: "lm_head.weight", data: embedding.data.slice() };
    assertEquals(await isTied(head), true);
    head.data[head.data.length - 1]! ^= 1;
    assertEquals(await isTied(head), false);
    await assertRejects(
      () => isTied({ ...head, shape: [1], data: new Uint8Array(2) }),
      DittoError,
      "lm_head",
    );
  }
});

Deno.test("openCheckpoint() finds the language model in one that also sees, under either name", async () => {
  const text_config = { ...TINY_CONFIG, tie_word_embeddings: false };
  const config = {
    architectures: ["Mistral3ForConditionalGeneration"],
    model_type: "mistral3",
    text_config,
  };
  const tensors = tinyTensors(text_config);
  const vision = ["vision_tower.ln_pre.weight", "multi_modal_projector.norm.weight"];
  const namings = [
    (name: string) => `language_model.${name}`,
    (name: string) => name.replace(/^model\./, "model.language_model."),
    (name: string) => name, // as Ditto saves it
  ];
  for (const [i, rename] of namings.entries()) {
    const renamed = tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
    const seeing = vision.map((name) => (
      { name: i === 1 ? `model.${name}` : name, dtype: "BF16", shape: [1], data: new Uint8Array(2) }
    ));
    await using dir = await new TempDir().write({
      "config.json": config,
      ...shardFiles([...renamed, ...seeing], 2),
    });
    using checkpoint = await openCheckpoint(dir.path);
    assertEquals([...checkpoint.tensors.keys()].sort(), tensors.map(({ name }) => name).sort());
    const { name, data } = tensors[3]!;
    const found = new Uint8Array(data.length);
    await checkpoint.read(name, 0, found);
    assertEquals(found, data);
  }
  const twice = [...tensors, { ...tensors[0]!, name: `language_model.${tensors[0]!.name}` }];
  await using dir = await writeCheckpoint(new TempDir(), config, twice);
  await assertRejects(() => openCheckpoint(dir.path), DittoError, "which one counts");
  // What is no part of either is not left out in silence.
  const strange = { ...tensors[0]!, name: "language_model.model.layers.0.adapter.weight" };
  await using other = await writeCheckpoint(new TempDir(), config, [...tensors, strange]);
  await assertRejects(() => openCheckpoint(other.path), DittoError, "adapter");
});

Deno.test("Checkpoint.read() refuses pieces outside the tensor, shrunk and closed files", async () => {
  await using dir = await writeCheckpoint(new TempDir());
  const checkpoint = await openCheckpoint(dir.path);
  const read = (offset: number, length: number) =>
    checkpoint.read("lm_head.weight", offset, new Uint8Array(length));
  for (const [offset, length] of [[-1, 1], [0, 257], [256, 1], [0.5, 1], [NaN, 0]] as const) {
    await assertRejects(() => read(offset, length), RangeError, "lm_head.weight");
  }
  await read(256, 0);
  await assertRejects(() => checkpoint.read("x", 0, new Uint8Array(1)), DittoError, '"x"');
  const path = `${dir.path}/model.safetensors`;
  await Deno.truncate(path, (await Deno.stat(path)).size - 1);
  await assertRejects(() => read(0, 256), DittoError, "ended at byte");
  await read(0, 255);
  checkpoint[Symbol.dispose]();
  checkpoint[Symbol.dispose]();
  await assertRejects(() => read(0, 1), DittoError, "Cannot read");
});
