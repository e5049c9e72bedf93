/**
 * Plain decoding against prompt lookup, on the model in the box: `deno bench -A`.
 *
 * @module
 */
import { MODEL_IN_THE_BOX } from "../cli/choose_model.ts";
import { EXAMPLES } from "../demo/examples.ts";
import { loadModel } from "../mod.ts";

const model = await loadModel(MODEL_IN_THE_BOX);
console.error(`Decoding with the model in the box on ${model.device.name}.`);

for (const { task, chat } of EXAMPLES) {
  for (const isBaseline of [true, false]) {
    const options = { cachePrompt: false, ...(isBaseline && { promptLookupNumTokens: 0 }) };
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
