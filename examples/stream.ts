/**
 * Streams an answer, and says how many passes of the model it took.
 *
 *     deno run -A examples/stream.ts MODEL PROMPT
 */
import { loadModel } from "../mod.ts";

const [directory, content] = Deno.args;
if (!directory || !content) {
  console.error("Usage: deno run -A examples/stream.ts MODEL PROMPT");
  Deno.exit(2);
}

const prompt = [{ role: "user", content }];
using model = await loadModel(directory, { prompt }); // its context is made for it
const generation = model.generate(prompt, { maxNewTokens: 200 });
for await (const { text } of generation) await Deno.stdout.write(new TextEncoder().encode(text));

const { tokens, passes } = await generation.result();
console.log(`\n\n${tokens.length} tokens in ${passes} passes`);
