/** What a prompt leaves behind is the same to the bit, in whatever chunks it goes through the model. */
import { assert, assertEquals } from "@std/assert";
import { shapeConfig } from "../../bench/shapes.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { dimensions, promptChunk } from "../../model/memory.ts";
import { promptRowsAt, promptStepsAtOnce } from "../../model/prompt_steps.ts";
import { seeded } from "../random.ts";
import { Parts } from "./parts.ts";

const CHUNKS = [512, 256, 128, 37];

for (const name of ["tiny-gqa-bf16", "window-f32"]) {
  Deno.test(
    `${name}: the same logits with chunks of ${CHUNKS.join(", ")}`,
    seeded(async (random) => {
      using checkpoint = await openCheckpoint(new URL(`../fixtures/${name}`, import.meta.url));
      const { vocabSize } = checkpoint.config;
      const prompt = Array.from({ length: 700 }, () => random.below(vocabSize));
      const found: Float32Array[][] = [];
      for (const promptChunk of CHUNKS) {
        using parts = await Parts.load(checkpoint, { context: 764, promptChunk });
        assertEquals(parts.dimensions.promptRows, promptChunk);
        found.push((await parts.generate(prompt, { maxNewTokens: 20 })).logits);
      }
      const bits = found.map((rows) => rows.map((row) => new Uint32Array(row.buffer)));
      for (const [i, rows] of bits.entries()) {
        assertEquals(rows.length, 20);
        for (const [token, row] of rows.entries()) {
          const isSame = row.every((word, k) => word === bits[0]![token]![k]);
          assertEquals(isSame, true, `token ${token} with chunks of ${CHUNKS[i]} and ${CHUNKS[0]}`);
        }
      }
    }),
  );
}

Deno.test("of a large model a part of a layer is submitted at once, of a small one a whole chunk", () => {
  const shares = (["mistral-7b", "tiny"] as const).map((shape) => {
    const config = shapeConfig(shape);
    const steps = 9 * config.numHiddenLayers;
    const d = dimensions(config, 4096, "f16", "f32", 512);
    return promptStepsAtOnce(config, d, steps, 0, false) / steps * config.numHiddenLayers;
  });
  // Layers at once: one of Mistral-7B has 218 million weights, and a row of the first chunk sees 512 keys and values.
  assertEquals(shares[0], Math.floor(9 * 5e10 / ((218e6 + 512 * 8192) * 512)) / 9); // in whole steps
  assert(shares[1]! > shapeConfig("tiny").numHiddenLayers, `${shares[1]} layers`);
});

Deno.test("far into a text chunks are shorter, so that no layer's attention takes a driver too long", () => {
  const rows = (shape: "mistral-7b" | "mistral-nemo", position: number, window?: number) => {
    const config = { ...shapeConfig(shape), ...(window && { slidingWindow: window }) };
    const d = dimensions(config, 131072, "f16", "f32", 512);
    const steps = 9 * config.numHiddenLayers;
    const rows = promptRowsAt(config, d, position);
    const keys = Math.min(position + 512, window ?? Infinity);
    const layer = rows * 2 * 32 * 128 * keys; // heads of 128
    assert(layer <= 1e11, `${layer} multiply-adds of attention after ${position}`);
    const atOnce = promptStepsAtOnce(config, d, steps, position, false);
    assert(atOnce <= 9 && (position < 4096 || atOnce <= 3), `${atOnce} steps after ${position}`);
    return rows;
  };
  assertEquals([0, 4096, 20_000].map((at) => rows("mistral-7b", at)), [512, 512, 512]);
  assertEquals(rows("mistral-7b", 32_000), Math.floor(1e11 / 8192 / 32_512));
  assertEquals(rows("mistral-nemo", 130_000), Math.floor(1e11 / 8192 / 130_512));
  assertEquals(rows("mistral-7b", 130_000, 4096), 512);
  // One row at least, though its attention alone takes longer.
  const config = { ...shapeConfig("mistral-7b"), slidingWindow: null };
  assertEquals(promptRowsAt(config, dimensions(config, 2 ** 24, "f16", "f32", 512), 16e6), 1);
});

Deno.test("a GPU takes a prompt in longer chunks than a CPU", () => {
  const device = {
    name: "a device",
    hasF16: false,
    convertsF16: true,
    subgroupSize: 32,
    subgroupVaries: false,
    maxBindingBytes: 1 << 27,
    maxBufferBytes: 1 << 28,
  };
  assertEquals(promptChunk({ ...device, isSoftware: true }), 256);
  assertEquals(promptChunk({ ...device, isSoftware: false }), 512);
  assertEquals(promptChunk({ ...device, isSoftware: false, maxBindingBytes: 1 << 26 }), 256);
});
