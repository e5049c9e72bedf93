/**
 * Asks the model to rename something in each of some files, and writes the answers to another directory, to
 * be looked at before they replace anything. Rewriting is what lookup is best at: most of an answer is
 * a copy of its prompt.
 *
 *     deno run -A examples/batch_rename.ts MODEL OLD NEW OUT FILE...
 */
import { basename } from "node:path";
import { loadModel } from "../mod.ts";

const [directory, oldName, newName, out, ...files] = Deno.args;
if (!directory || !oldName || !newName || !out || files.length === 0) {
  console.error("Usage: deno run -A examples/batch_rename.ts MODEL OLD NEW OUT FILE...");
  Deno.exit(2);
}

await Deno.mkdir(out, { recursive: true });
using model = await loadModel(directory);
for (const file of files) {
  const code = await Deno.readTextFile(file);
  if (!code.includes(oldName)) {
    console.log(`${file}: no ${oldName}`);
    continue;
  }
  const content = `Rename ${oldName} to ${newName}:\n${code.trimEnd()}`;
  // An answer is about as long as the file; one that does not end is stopped.
  const maxNewTokens = 2 * model.tokenize(code).length + 32;
  const answer = await model.generate([{ role: "user", content }], { maxNewTokens }).result();
  if (answer.stopReason !== "eos") {
    console.log(`${file}: the answer did not end; nothing is written`);
    continue;
  }
  await Deno.writeTextFile(`${out}/${basename(file)}`, `${answer.text}\n`);
  console.log(`${file}: ${answer.tokens.length} tokens in ${answer.passes} passes`);
}
