/**
 * A chat in the terminal. Every turn is asked with all that was said before it. What an earlier turn was asked with is
 * not read again; and what an answer repeats of it is drafted from it.
 *
 *     deno run -A examples/chat.ts MODEL
 */
import { stdin } from "node:process";
import { createInterface } from "node:readline";
import { DittoError, loadModel, type Message } from "../mod.ts";

const [directory] = Deno.args;
if (!directory) {
  console.error("Usage: deno run -A examples/chat.ts MODEL");
  Deno.exit(2);
}

const write = (text: string) => Deno.stdout.write(new TextEncoder().encode(text));

using model = await loadModel(directory).catch((error) => {
  if (!(error instanceof DittoError)) throw error;
  console.error(error.message); // such as that there is no such directory
  Deno.exit(1);
});
let chat: Message[] = [];

/** Asks, and adds question and answer to the chat. */
async function ask(content: string): Promise<void> {
  const question = { role: "user", content };
  const generation = model.generate([...chat, question], { maxNewTokens: 500 });
  for await (const { text } of generation) await write(text);
  const { text, tokens, passes, promptTokens, cachedPromptTokens } = await generation.result();
  chat.push(question, { role: "assistant", content: text });
  const read = promptTokens - cachedPromptTokens;
  console.error(`\n[${read} tokens read, ${tokens.length} written in ${passes} passes]`);
}

await write("> ");
for await (const line of createInterface({ input: stdin })) {
  try {
    if (line.trim()) await ask(line);
  } catch (error) {
    if (!(error instanceof DittoError)) throw error;
    console.error(`${error.message} The chat begins anew.`); // such as one longer than the context
    chat = [];
  }
  await write("> ");
}
await write("\n");
