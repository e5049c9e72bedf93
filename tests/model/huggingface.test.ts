/** Logits and tokens against those of Hugging Face transformers, which tools/make_*fixture*.py stored. */
import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import type { CacheType } from "../../kernels/stages.ts";
import { listDevices } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { MistralConfig } from "../../model/config.ts";
import type { PromptPrecision } from "../../model/memory.ts";
import { PositionedFile } from "../../model/positioned_file.ts";
import { readHeader } from "../../model/safetensors.ts";
import { FIXTURES } from "../decode/comparison.ts";
import { U } from "../kernels/numbers.ts";
import { Parts } from "./parts.ts";

/** What transformers says to a prompt, computed in f32 on the checkpoint's own weights. */
interface Answer {
  readonly length: number;
  readonly ids: readonly number[];
  readonly greedy: readonly number[];
  /** Places in prompt and answer; the logits of each are those that come after it. */
  readonly positions: readonly number[];
  /** [positions][vocab_size] */
  readonly logits: readonly Float32Array[];
}

async function readAnswers(name: string, { vocabSize }: MistralConfig): Promise<Answer[]> {
  const folder = new URL(`../fixtures/${name}/`, import.meta.url);
  const { prompts } = JSON.parse(await Deno.readTextFile(new URL("expected.json", folder)));
  using file = await PositionedFile.open(fileURLToPath(new URL("expected.safetensors", folder)));
  const stored = await readHeader(file);
  return await Promise.all(prompts.map(async (prompt: Answer) => {
    const { byteOffset, byteLength } = stored.get(`logits.${prompt.length}`)!;
    const all = new Float32Array(byteLength / 4);
    await file.read(byteOffset, new Uint8Array(all.buffer));
    const row = (i: number) => all.subarray(i * vocabSize, (i + 1) * vocabSize);
    return { ...prompt, logits: prompt.positions.map((_, i) => row(i)) };
  }));
}

/**
 * How far logits may be off, as a share of the largest.
 *
 * Two programs that compute in f32 differ by the order of their sums. From a token to its logits a value
 * goes through as many additions as a layer has inputs, and each moves it by U of itself at most. Issue 2
 * allows 1e-4; this is 3e-5 to 7e-5 here, and the largest difference seen is 4e-6.
 *
 * An f16 cache rounds each key and value by 2⁻¹¹ of itself. A layer's values are off by that much, and its
 * attention weights, being exponentials of scores, by a score times as much. The fixtures' queries and keys
 * have a deviation of 1.5, so scores have one of 1.5², and what decides are scores of about twice that. This
 * is 6e-3 for two layers; the largest difference seen is 2.4e-3.
 *
 * Prompts in f16 have products that are off by 0.07% of their size (kernels/prompt/matmul_f16.wgsl), single values by
 * twice that. This is 1.5e-2 for two layers; the largest difference seen is 4.7e-3.
 */
function tolerance(
  config: MistralConfig,
  cache: CacheType,
  promptPrecision: PromptPrecision = "f32",
): number {
  const { hiddenSize, intermediateSize, numAttentionHeads, headDim, numHiddenLayers } = config;
  const additions = 2 * hiddenSize + intermediateSize + numAttentionHeads * headDim;
  const sums = U * additions * (numHiddenLayers + 1);
  assert(sums < 1e-4);
  const rounding = (cache === "f16" ? 2 ** -11 : 0) + (promptPrecision === "f16" ? 0.0007 * 2 : 0);
  return sums + numHiddenLayers * (1 + 2 * 1.5 ** 2) * rounding;
}

/** How far logits are from those expected, as a share of the largest. */
function distance(actual: Float32Array, expected: Float32Array): number {
  assertEquals(actual.length, expected.length);
  assert(actual.every(Number.isFinite), "a logit is no number");
  const most = (values: Float32Array) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return most(actual.map((value, i) => value - expected[i]!)) / most(expected);
}

const { hasF16 } = (await listDevices())[0]!;

for (const name of ["tiny-gqa-bf16", "window-f32", "headdim-f16", "nemo-bf16", "mistral-fp8"]) {
  Deno.test({
    name: `${name} with prompts in f16 agrees with transformers`,
    ignore: !hasF16,
    fn: async () => {
      using checkpoint = await openCheckpoint(new URL(`../fixtures/${name}`, import.meta.url));
      const { config } = checkpoint;
      const options = { context: 764, cache: "f32", promptPrecision: "f16" } as const;
      using parts = await Parts.load(checkpoint, options);
      const allowed = tolerance(config, "f32", "f16");
      let worst = 0;
      for (const { length, ids, greedy, positions, logits } of await readAnswers(name, config)) {
        const replay = [...ids, ...greedy];
        const given = { maxNewTokens: greedy.length, replay };
        const { logits: rows } = await parts.generate(ids, given);
        positions.forEach((position, i) => {
          const row = rows[position - length + 1];
          if (!row) return;
          const off = distance(row, logits[i]!);
          worst = Math.max(worst, off);
          const what = `after token ${position} of prompt ${length}`;
          assert(off <= allowed, `Logits ${what} are off by ${off}; ${allowed} is allowed.`);
        });
      }
      assert(worst > 2 ** -16, "these prompts seem to be in f32");
    },
  });
}

for (const name of FIXTURES) {
  for (const cache of ["f32", "f16"] as const) {
    Deno.test(`${name} with a cache in ${cache} agrees with transformers`, async () => {
      using checkpoint = await openCheckpoint(new URL(`../fixtures/${name}`, import.meta.url));
      const { config } = checkpoint;
      using parts = await Parts.load(checkpoint, { context: 764, cache });
      const allowed = tolerance(config, cache);
      let worst = 0;
      for (const { length, ids, greedy, positions, logits } of await readAnswers(name, config)) {
        const text = [...ids, ...greedy];
        const check = (how: string, first: number, rows: readonly Float32Array[]) => {
          positions.forEach((position, i) => {
            const row = rows[position - first];
            if (!row) return;
            const off = distance(row, logits[i]!);
            worst = Math.max(worst, off);
            const what = `after token ${position} of prompt ${length}, ${how}`;
            assert(off <= allowed, `Logits ${what}, are off by ${off}; ${allowed} is allowed.`);
          });
        };

        // With rounded keys and values another token may win, so there the text is given.
        const options = cache === "f16" ? { replay: text } : {};
        const own = await parts.generate(ids, { maxNewTokens: greedy.length, ...options });
        assertEquals(own.tokens, greedy);
        check("the prompt in chunks", length - 1, own.logits);

        const third = positions[1]!;
        const part = text.slice(0, third + 1);
        const { logits: one } = await parts.generate(part, { maxNewTokens: 1, replay: text });
        check("a third of the prompt in chunks", third, one);

        // The longest text a token a pass would take longer than all else, and f32 shows what f16 would.
        const isLong = length > 64;
        for (const numDraft of isLong ? cache === "f16" ? [] : [31] : [0, 31]) {
          const maxNewTokens = text.length - 1;
          const first = ids.slice(0, 1);
          const all = await parts.generate(first, { maxNewTokens, replay: text, numDraft });
          check(`with ${numDraft} drafts a pass`, 0, all.logits);
        }
      }
      if (cache === "f16") assert(worst > 2 ** -16, "this cache seems to be in f32");
    });
  }
}
