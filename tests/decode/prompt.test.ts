/** A prompt that is there before the model: it is checked before weights are read, and gets the context it needs. */
import { assertEquals, assertRejects } from "@std/assert";
import { loadFrom } from "../../decode/load_model.ts";
import { contextFor } from "../../decode/prompt.ts";
import { DittoError, type LoadOptions } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { WeightSource } from "../../model/weights.ts";

const rowCosts = new Array(32).fill(1); // so that nothing is measured

/** Loads a small checkpoint that claims to be made for 20,000 positions. `wasRead`: its weights were. */
async function load(options: LoadOptions, seen: { wasRead?: true } = {}) {
  using checkpoint = await openCheckpoint(new URL("../fixtures/tiny-gqa-bf16", import.meta.url));
  const source: WeightSource = {
    config: { ...checkpoint.config, maxPositionEmbeddings: 20_000 },
    tensors: checkpoint.tensors,
    read: (...piece) => {
      seen.wasRead = true;
      return checkpoint.read(...piece);
    },
  };
  return await loadFrom(source, null, { rowCosts, ...options });
}

const tokens = (length: number) => Array.from({ length }, (_, i) => 10 + i % 90);

Deno.test("contextFor() doubles 4096 until prompt and answer have room, or the model has no more", () => {
  const cases: [promptLength: number, maxNewTokens: number, context: number][] = [
    [0, 256, 4096],
    [0, 9000, 4096],
    [3840, 256, 4096],
    [3841, 256, 8192],
    [4000, 96, 4096],
    [4000, 97, 8192],
    // An answer may be meant to be as long as it likes: that alone does not ask for the largest context.
    [100, 1e9, 8192],
    [17_000, 256, 20_000],
    [30_000, 256, 20_000],
  ];
  for (const [promptLength, maxNewTokens, context] of cases) {
    const found = contextFor(tokens(promptLength), maxNewTokens, 20_000);
    assertEquals(found, context, `${promptLength} and ${maxNewTokens} tokens`);
  }
  assertEquals(contextFor([1], 1e9, 100), 100);
});

Deno.test("a given prompt longer than 4096 tokens is answered", async () => {
  const prompt = tokens(4100);
  using model = await load({ prompt, maxNewTokens: 5 });
  assertEquals(model.context, 8192);
  const result = await model.generate(prompt, { maxNewTokens: 5, ignoreEos: true }).result();
  assertEquals([result.promptTokens, result.tokens.length], [4100, 5]);
});

Deno.test("a given prompt that cannot be answered is refused before weights are read", async () => {
  const cases: [LoadOptions, message: string][] = [
    [{ prompt: [] }, "The prompt is empty"],
    [{ prompt: [1, 384] }, "Token 1 of the prompt is 384"],
    [{ prompt: "text" }, "tokenizer.json"],
    [{ prompt: [{ role: "user", content: "text" }] }, "tokenizer.json"],
    [{ prompt: tokens(20_000) }, "The prompt has 20000 tokens, and the context holds 20000"],
    [{ prompt: tokens(50), context: 50 }, "The prompt has 50 tokens, and the context holds 50"],
    [{ prompt: tokens(5), maxNewTokens: -1 }, "The option maxNewTokens is -1"],
  ];
  for (const [options, message] of cases) {
    const seen: { wasRead?: true } = {};
    await assertRejects(() => load(options, seen), DittoError, message);
    assertEquals(seen.wasRead, undefined, message);
  }
});
