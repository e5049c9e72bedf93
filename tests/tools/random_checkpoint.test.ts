import { assertEquals, assertRejects } from "@std/assert";
import { shapeJson } from "../../bench/shapes.ts";
import { loadModel } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { DittoError } from "../../model/errors.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { TempDir, TINY_CONFIG } from "../model/tiny_checkpoint.ts";

Deno.test("a made-up checkpoint of the tiny shape, in shards, loads and answers", async () => {
  await using dir = new TempDir();
  const { files, bytes } = await writeRandomCheckpoint(shapeJson("tiny"), dir.path, 2e6);
  assertEquals(files.length, 3); // embedding and head are larger than a shard
  using model = await loadModel(dir.path, { context: 64 });
  assertEquals(model.config.numHiddenLayers, 2);
  const size = (shape: readonly number[]) => 2 * shape.reduce((a, b) => a * b, 1);
  const sizes = requiredTensors(model.config).map(({ shape }) => size(shape));
  assertEquals(bytes, sizes.reduce((a, b) => a + b, 0));
  const answer = await model.generate([1, 7, 9], { maxNewTokens: 4, ignoreEos: true }).result();
  assertEquals(answer.tokens.length, 4);
});

Deno.test("a made-up checkpoint's tensors differ, and norms are ones", async () => {
  await using dir = new TempDir();
  await writeRandomCheckpoint(TINY_CONFIG, dir.path, 300);
  using checkpoint = await openCheckpoint(dir.path);
  const matrices = new Set<string>();
  for (const { name, shape, byteLength } of checkpoint.tensors.values()) {
    const bytes = new Uint8Array(byteLength);
    await checkpoint.read(name, 0, bytes);
    if (shape.length > 1) matrices.add(bytes.slice(0, 64).toHex());
    else assertEquals(new Set(new Uint16Array(bytes.buffer)), new Set([0x3f80]), name);
  }
  assertEquals(matrices.size, 16);
});

Deno.test("a made-up checkpoint is not written over other files", async () => {
  await using dir = new TempDir();
  await Deno.writeTextFile(`${dir.path}/notes.txt`, "mine");
  await assertRejects(() => writeRandomCheckpoint(TINY_CONFIG, dir.path), DittoError, "notes.txt");
});
