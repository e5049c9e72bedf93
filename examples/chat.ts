/**
 * A chat in the terminal. Every turn is asked with all that was said before it. Of that, only what is new goes through the
 * model; and where an answer repeats it, it is drafted from it.
 *
 *     deno run -A examples/chat.ts MODEL
 */
import { stdin } from "node:process";
import { createInterface } from "node:readline";
import { loadModel, type Message } from "../mod.ts";

const [directory] = Deno.args;
if (!directory) {
  console.error("Usage: deno run -A examples/chat.ts MODEL");
  Deno.exit(2);
}

const write = (text: string) => Deno.stdout.write(new TextEncoder().encode(text));

using model = await loadModel(directory);
const chat: Message[] = [];
await write("> ");
for await (const content of createInterface({ input: stdin })) {
  chat.push({ role: "user", content });
  const generation = model.generate(chat, { maxNewTokens: 500 });
  for await (const { text } of generation) await write(text);
  const { text, tokens, passes, promptTokens, cachedPromptTokens } = await generation.result();
  chat.push({ role: "assistant", content: text });
  const read = promptTokens - cachedPromptTokens;
  console.error(`\n[${read} tokens read, ${tokens.length} written in ${passes} passes]`);
  await write("> ");
}
await write("\n");
