/** The model in the box, asked a few of the held-out examples of its training. */
import { assert, assertEquals } from "@std/assert";
import { MODEL_IN_THE_BOX } from "../cli/choose_model.ts";
import { loadModel } from "../mod.ts";
import { heldOut } from "../tools/measure_box.ts";
import { ROOT } from "./cli/process.ts";

/** Examples of each task. */
const EACH = 4;
/** Answers that may be wrong: another device rounds differently, and near ties fall otherwise. */
const WRONG = 2;

Deno.test("the model in the box does its tasks", async () => {
  using model = await loadModel(MODEL_IN_THE_BOX);
  const wrong: string[] = [];
  for (const [task, examples] of await heldOut()) {
    for (const { messages, answer } of examples.slice(0, EACH)) {
      const { text } = await model.generate(messages).result();
      if (text === answer) continue;
      wrong.push(
        `${task}: ${messages.at(-1)!.content}\n--- expected\n${answer}\n--- found\n${text}`,
      );
    }
  }
  assert(wrong.length <= WRONG, `${wrong.length} answers are wrong:\n\n${wrong.join("\n\n")}`);
});

Deno.test("the model in the box answers README's first command", async () => {
  const readme = await Deno.readTextFile(new URL("README.md", ROOT));
  const [, content] = /--prompt "(Rename count to total: .*)"$/m.exec(readme) ?? [];
  assert(content !== undefined, "README.md has no such command");
  using model = await loadModel(MODEL_IN_THE_BOX);
  const { text } = await model.generate([{ role: "user", content }]).result();
  assertEquals(text, "let total = 1; print(total);");
});

Deno.test("the model in the box is an ordinary checkpoint of at most 10 MB", async () => {
  const names: string[] = [];
  let bytes = 0;
  for await (const { name } of Deno.readDir(new URL("demo/ditto-tiny", ROOT))) {
    names.push(name);
    bytes += (await Deno.stat(new URL(`demo/ditto-tiny/${name}`, ROOT))).size;
  }
  assertEquals(names.sort(), [
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
  ]);
  assert(bytes <= 10e6, `${bytes} bytes`);
});
