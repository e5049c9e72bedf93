import { assertEquals } from "@std/assert";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { loadTokenizer, requireTokenizer } from "../../model/tokenizer.ts";
import { random as randomBelow } from "../decode/buffers.ts";

/** The real tokenizer and recorded prompts lie beside the repository, on machines that have them. */
const SHARED = new URL("../../../shared/", import.meta.url);
const TOKENIZER = new URL("tokenizer/", SHARED);

const ignore = !exists(TOKENIZER);
if (ignore) console.warn(`Skipping the real tokenizer's tests: there is no ${TOKENIZER.pathname}.`);

function exists(url: URL): boolean {
  try {
    return Deno.statSync(url).isDirectory;
  } catch {
    return false;
  }
}

async function load() {
  const config = { vocabSize: 32000, bosTokenId: 1 };
  return requireTokenizer(await loadTokenizer(TOKENIZER, config), TOKENIZER);
}

interface Trace {
  prompt: string;
  prompt_ids: number[];
  output: string;
  output_ids: number[];
}

Deno.test(
  { name: "Tokenizer gives Mistral's ids for the 180 recorded prompts", ignore },
  async () => {
    const tokenizer = await load();
    const file = new URL("traces/mistral-7b-instruct-v0.1.jsonl", SHARED);
    const lines = (await Deno.readTextFile(file)).trim().split("\n");
    assertEquals(lines.length, 180);
    for (const line of lines) {
      const { prompt, prompt_ids, output, output_ids }: Trace = JSON.parse(line);
      assertEquals(tokenizer.encode(prompt), prompt_ids);
      // After a special token inside the text, SentencePiece's leading space appears.
      if (!prompt.includes("</s>")) assertEquals(tokenizer.decode(prompt_ids), prompt);
      const decoder = tokenizer.streamDecoder();
      const pieces = output_ids.map((id) => decoder.push([id]));
      const text = pieces.join("") + decoder.flush();
      assertEquals(text, tokenizer.decode(output_ids));
      assertEquals(text.trimStart(), output.trimStart());
    }
  },
);

Deno.test(
  { name: "StreamDecoder equals the library on random Mistral tokens", ignore },
  async () => {
    const tokenizer = await load();
    const json = JSON.parse(await Deno.readTextFile(new URL("tokenizer.json", TOKENIZER)));
    const library = new HuggingFaceTokenizer(json, { clean_up_tokenization_spaces: false });
    const random = randomBelow(6);
    for (let round = 0; round < 2000; round++) {
      const ids = Array.from({ length: 1 + random(30) }, () => random(random(2) ? 300 : 32000));
      const decoder = tokenizer.streamDecoder();
      const text = ids.map((id) => decoder.push([id])).join("") + decoder.flush();
      assertEquals(text, library.decode(ids, { skip_special_tokens: true }), `${ids}`);
    }
  },
);

Deno.test(
  { name: "Tokenizer.encodeChat() writes [INST] with one begin token", ignore },
  async () => {
    const tokenizer = await load();
    const messages = [{ role: "user", content: "hi" }];
    assertEquals(tokenizer.applyChatTemplate(messages), "<s>[INST] hi [/INST]");
    assertEquals(tokenizer.encodeChat(messages), tokenizer.encode("[INST] hi [/INST]"));
  },
);
