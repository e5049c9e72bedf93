/** A model that computes no numbers: the answer ends with an error where they end, with lookup and without. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DittoError, type GenerateOptions, type LanguageModel } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { WeightSource } from "../../model/weights.ts";
import { Fixture } from "./comparison.ts";

const NAN = [0xc0, 0x7f]; // bf16, little-endian

/** A checkpoint of which some bytes of one tensor are replaced as they are read. */
function damaged(source: WeightSource, tensor: string, bytes: readonly number[], at: number) {
  const read: WeightSource["read"] = async (name, byteOffset, into) => {
    await source.read(name, byteOffset, into);
    if (name !== tensor) return;
    bytes.forEach((byte, i) => {
      const place = at + i - byteOffset;
      if (place >= 0 && place < into.length) into[place] = byte;
    });
  };
  return { config: source.config, tensors: source.tensors, read };
}

/** What is read of an answer before it fails. */
async function untilFailure(model: LanguageModel, prompt: number[], options: GenerateOptions) {
  const tokens: number[] = [];
  const generation = model.generate(prompt, options);
  const error = await assertRejects(async () => {
    for await (const piece of generation) {
      assert(piece.tokens.length > 0, "a piece without tokens");
      tokens.push(...piece.tokens);
    }
  }, DittoError);
  await assertRejects(() => generation.result(), DittoError, error.message);
  return { tokens, message: error.message };
}

Deno.test("an answer ends with an error where a model computes no number any more", async () => {
  using checkpoint = await openCheckpoint(new URL("../fixtures/tiny-gqa-bf16", import.meta.url));
  using sound = await Fixture.of("tiny-gqa-bf16", checkpoint);
  // Text that repeats, so that there are drafts.
  const prompt = Array.from({ length: 60 }, (_, i) => 20 + i % 12);
  const samplings = [{}, { temperature: 0.8, topK: 40, topP: 0.9, seed: 3 }, {
    repetitionPenalty: 1.1,
  }];
  for (const sampling of samplings) {
    const options = { maxNewTokens: 40, ignoreEos: true, ...sampling };
    const { tokens } = await sound.model.generate(prompt, options).result();
    // The embedding of this token spoils what comes after its first use.
    const last = tokens.findIndex((token, i) =>
      i > 3 && ![...prompt, ...tokens.slice(0, i)].includes(token)
    );
    assert(last > 0, `no token of [${tokens}] is new`);
    const row = tokens[last]! * checkpoint.config.hiddenSize * 2;
    const source = damaged(checkpoint, "model.embed_tokens.weight", NAN, row);
    using broken = await Fixture.of("tiny-gqa-bf16 with NaN", source);
    for (const promptLookupNumTokens of [0, 1, 31]) {
      const found = await untilFailure(broken.model, prompt, { ...options, promptLookupNumTokens });
      assertEquals(found.tokens, tokens.slice(0, last + 1));
      const length = prompt.length + last + 1;
      assert(
        found.message.startsWith(
          `The model has no number for any token after the first ${length} of the text`,
        ),
        found.message,
      );
    }
    // What is left in the cache does not spoil the next answer.
    const again = await broken.model.generate(prompt, { ...options, maxNewTokens: last }).result();
    assertEquals(again.tokens, tokens.slice(0, last));
  }
});

Deno.test("a model without one number ends with an error at once", async () => {
  using checkpoint = await openCheckpoint(new URL("../fixtures/tiny-gqa-bf16", import.meta.url));
  using broken = await Fixture.of("no numbers", damaged(checkpoint, "model.norm.weight", NAN, 10));
  for (const temperature of [0, 1]) {
    const { tokens } = await untilFailure(broken.model, [1, 5, 9], { temperature });
    assertEquals(tokens, []);
  }
});
