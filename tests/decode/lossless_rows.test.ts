import { assert, assertEquals, assertRejects } from "@std/assert";
import { isLosslessRows, losslessRows } from "../../decode/lossless_rows.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { Parts, type PartsOptions } from "../model/parts.ts";
import { spoilAncestor, spoilWhere } from "./spoiled_shaders.ts";

/** Tries a fixture's passes. */
async function tryRows(name: string, options: PartsOptions, signal?: AbortSignal): Promise<number> {
  using checkpoint = await openCheckpoint(new URL(`../fixtures/${name}`, import.meta.url));
  using parts = await Parts.load(checkpoint, options);
  const { gpu, forward } = parts;
  const { vocabSize } = checkpoint.config;
  return await losslessRows(gpu, { forward, vocabSize, context: options.context }, signal);
}

for (
  const [name, options] of [
    ["tiny-gqa-bf16", { context: 400 }],
    ["tiny-gqa-bf16", { context: 2 }],
    ["window-f32", { context: 300, cache: "f32" }],
    ["mistral-fp8", { context: 40 }],
  ] as const
) {
  Deno.test(`passes of up to 32 rows are lossless: ${name}, ${JSON.stringify(options)}`, async () => {
    assertEquals(await tryRows(name, options), 32);
  });
}

for (
  const [condition, rows] of [
    ["rows.count >= 2u", 1],
    ["rows.count == 4u", 2],
    ["row == 5u", 4],
    ["row == 31u", 16],
  ] as const
) {
  Deno.test(`no more than ${rows} rows are lossless where ${condition} changes bits`, async () => {
    using _ = spoilWhere(condition);
    assertEquals(await tryRows("tiny-gqa-bf16", { context: 400 }), rows);
  });
}

for (const [depth, rows] of [[1, 1], [2, 2], [3, 2], [7, 4], [31, 16]] as const) {
  Deno.test(`no more than ${rows} rows are lossless where ancestors of depth ${depth} are seen otherwise`, async () => {
    using _ = spoilAncestor(depth);
    assertEquals(await tryRows("tiny-gqa-bf16", { context: 400 }), rows);
  });
}

Deno.test("losslessRows() ends early when its signal says so", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => tryRows("tiny-gqa-bf16", { context: 40 }, signal), Error, "enough");
});

Deno.test("isLosslessRows() takes what can have been found", () => {
  for (const rows of [1, 2, 4, 8, 16, 32]) assert(isLosslessRows(rows));
  for (const value of [0, 3, 33, -1, NaN, "8", null, undefined, [8], {}]) {
    assert(!isLosslessRows(value), Deno.inspect(value));
  }
});
