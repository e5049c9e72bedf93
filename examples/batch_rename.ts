/**
 * Asks the model to rename something in each of some files, and writes the answers to another directory, to
 * be looked at before they replace anything. Rewriting is what lookup is best at: most of an answer is
 * a copy of its prompt.
 *
 *     deno run -A examples/batch_rename.ts MODEL OLD NEW OUT FILE...
 */
import { basename, dirname } from "node:path";
import { DittoError, loadModel } from "../mod.ts";

const [directory, oldName, newName, out, ...files] = Deno.args;
if (!directory || !oldName || !newName || !out || files.length === 0) {
  console.error("Usage: deno run -A examples/batch_rename.ts MODEL OLD NEW OUT FILE...");
  Deno.exit(2);
}
const names = files.map((file) => basename(file));
const twice = names.find((name, i) => names.indexOf(name) !== i);
if (twice) {
  console.error(`Two files are called ${twice}, and only one of them can be in ${out}.`);
  Deno.exit(2);
}

const [target, ...directories] = await Promise.all(
  [out, ...files.map((file) => dirname(file))].map((path) => Deno.realPath(path).catch(() => null)),
);
if (target && directories.includes(target)) {
  console.error(
    `${out} holds a file that is to be renamed in: give another directory for the answers.`,
  );
  Deno.exit(2);
}

const codes = await Promise.all(files.map((file) => Deno.readTextFile(file)));
await Deno.mkdir(out, { recursive: true });

/** Rewrites a file. Returns what became of it. */
async function rename(name: string, code: string): Promise<string> {
  if (!code.includes(oldName!)) return `no ${oldName}`;
  const content = `Rename ${oldName} to ${newName}:\n${code.trimEnd()}`;
  // An answer is about as long as the file; one that does not end is stopped.
  const maxNewTokens = 2 * model.tokenize(code).length + 32;
  const answer = await model.generate([{ role: "user", content }], { maxNewTokens }).result();
  if (answer.stopReason !== "eos") return "the answer did not end; nothing is written";
  await Deno.writeTextFile(`${out}/${name}`, `${answer.text}\n`);
  return `${answer.tokens.length} tokens in ${answer.passes} passes`;
}

using model = await loadModel(directory);
for (const [i, file] of files.entries()) {
  try {
    console.log(`${file}: ${await rename(names[i]!, codes[i]!)}`);
  } catch (error) {
    if (!(error instanceof DittoError)) throw error;
    console.log(`${file}: ${error.message}`); // such as one longer than the context
  }
}
