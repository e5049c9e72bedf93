/**
 * Plain decoding against prompt lookup, on the model in the box or, where there is none, the fixture of random
 * weights: `deno bench -A`.
 *
 * @module
 */
import { hasModelInTheBox, MODEL_IN_THE_BOX } from "../cli/choose_model.ts";
import { EXAMPLES } from "../demo/examples.ts";
import { type GenerateOptions, loadModel } from "../mod.ts";

const FIXTURE = new URL("../tests/fixtures/tiny-gqa-bf16", import.meta.url);

const isInTheBox = await hasModelInTheBox();
const model = await loadModel(isInTheBox ? MODEL_IN_THE_BOX : FIXTURE);
// Random weights never end an answer, and what they say is of no interest.
const base: GenerateOptions = isInTheBox ? {} : { maxNewTokens: 48, ignoreEos: true };
const name = isInTheBox ? "the model in the box" : "a fixture of random weights";
console.error(`Decoding with ${name} on ${model.device.name}.`);

for (const { task, chat } of EXAMPLES) {
  for (const isBaseline of [true, false]) {
    const options = isBaseline ? { ...base, promptLookupNumTokens: 0 } : base;
    Deno.bench({
      name: isBaseline ? "plain" : "lookup",
      group: task,
      baseline: isBaseline,
      n: 5,
      warmup: 1,
      async fn() {
        await model.generate(chat, options).result();
      },
    });
  }
}
