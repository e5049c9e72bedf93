/**
 * Answers a prompt from a file with lookup and without: the time differs, the answer does not, down to the
 * last bit of the numbers that chose it.
 *
 *     deno run -A examples/compare.ts MODEL FILE
 */
import { type GenerateOptions, loadModel } from "../mod.ts";

const [directory, file] = Deno.args;
if (!directory || !file) {
  console.error("Usage: deno run -A examples/compare.ts MODEL FILE");
  Deno.exit(2);
}

const prompt = await Deno.readTextFile(file);
const maxNewTokens = 100;
using model = await loadModel(directory, { prompt, maxNewTokens }); // so that both fit its context
const answer = (options: GenerateOptions) =>
  model.generate(prompt, { maxNewTokens, ...options }).result();

const plain = await answer({ promptLookupNumTokens: 0 });
const lookup = await answer({});
console.log(`without lookup: ${plain.passes} passes, ${Math.round(plain.timing.decodeMs)} ms`);
console.log(`with lookup:    ${lookup.passes} passes, ${Math.round(lookup.timing.decodeMs)} ms`);

// The logits are read back from the GPU for their digest, which takes time: so not in the runs above.
const digests = [
  (await answer({ promptLookupNumTokens: 0, logitsDigest: true })).logitsDigest,
  (await answer({ logitsDigest: true })).logitsDigest,
];
console.log(
  digests[0] === digests[1] ? "The answers are equal to the bit." : "THEY DIFFER: a bug!",
);
