/**
 * A chat in the terminal. Every turn is asked with all that was said before it. What an earlier turn was asked with is
 * not read again; and what an answer repeats of it is drafted from it.
 *
 *     deno run -A examples/chat.ts MODEL [--context 4096] [--quantize q8|q4] [--device NAME]
 *
 * All that is said shares the context: for long documents it must be larger than 4096 tokens.
 */
import { stdin } from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { loadShowing } from "../cli/progress_bar.ts"; // loadModel() with a bar that tells how far it is
import { OutputClosed, print } from "../cli/terminal.ts";
import { DittoError, type Message, type Quantization } from "../mod.ts";

/** What the command line says; null if it makes no sense. */
function parse() {
  const text = { type: "string" } as const;
  try {
    const options = { context: text, quantize: text, device: text };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    return positionals.length === 1 ? { directory: positionals[0]!, ...values } : null;
  } catch {
    return null;
  }
}

const parsed = parse();
if (!parsed) {
  console.error(
    "Usage: deno run -A examples/chat.ts MODEL [--context 4096] [--quantize q8|q4] [--device NAME]",
  );
  Deno.exit(2);
}
const { directory, context, quantize, device } = parsed;

using model = await loadShowing(directory, {
  ...(context && { context: Number(context) }),
  ...(quantize && { quantize: quantize as Quantization }), // loadModel() looks at its value
  ...(device && { device: { name: device } }), // a part of its name
}).catch((error) => {
  if (!(error instanceof DittoError)) throw error;
  console.error(error.message); // such as that there is no such directory
  Deno.exit(1);
});
let chat: Message[] = [];

/** Asks, and adds question and answer to the chat. */
async function ask(content: string): Promise<void> {
  const question = { role: "user", content };
  const generation = model.generate([...chat, question], { maxNewTokens: 500 });
  for await (const { text } of generation) await print(text);
  const { text, tokens, passes, promptTokens, cachedPromptTokens } = await generation.result();
  chat.push(question, { role: "assistant", content: text });
  const read = promptTokens - cachedPromptTokens;
  console.error(`\n[${read} tokens read, ${tokens.length} written in ${passes} passes]`);
}

try {
  await print("> ");
  for await (const line of createInterface({ input: stdin })) {
    try {
      if (line.trim()) await ask(line);
    } catch (error) {
      if (!(error instanceof DittoError)) throw error;
      console.error(`${error.message} The chat begins anew.`); // such as one longer than the context
      chat = [];
    }
    await print("> ");
  }
  await print("\n");
} catch (error) {
  if (!(error instanceof OutputClosed)) throw error; // who read the answers has read enough
}
