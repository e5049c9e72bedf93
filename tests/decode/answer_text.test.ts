/** An answer's text: how it begins after a prompt, and how it ends. */
import { assertEquals } from "@std/assert";
import { AnswerText } from "../../decode/answer_text.ts";
import { loadFrom } from "../../decode/load_model.ts";
import { loadTokenizer, requireTokenizer, type Tokenizer } from "../../model/tokenizer.ts";
import { madeUp, SMALL } from "../model/made_up.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { BYTE_LEVEL, METASPACE, SENTENCEPIECE } from "../model/tiny_tokenizers.ts";
import { seeded } from "../random.ts";
import { rowCosts } from "./one_model.ts";

async function load(json: unknown, tokenizer_config = {}): Promise<Tokenizer> {
  await using dir = await new TempDir().write({
    "tokenizer.json": json,
    "tokenizer_config.json": tokenizer_config,
  });
  const tokenizer = await loadTokenizer(dir.path, { vocabSize: 600, bosTokenId: 1 });
  return requireTokenizer(tokenizer, dir.path);
}

/** The text of an answer that arrives in passes. */
function textOf(answer: AnswerText, passes: readonly (readonly number[])[]): string {
  const shown = passes.map((tokens) => answer.push(tokens).shown).join("") + answer.end();
  assertEquals(shown, answer.whole);
  return shown;
}

Deno.test("SentencePiece's space before a first word: there where a text goes on, not where one begins", async () => {
  const tokenizer = await load(SENTENCEPIECE);
  const ids = tokenizer.encode("a b a"); // <s> ▁a ▁ b ▁a
  const [before, answer] = [ids.slice(0, -1), ids.slice(-1)];
  assertEquals(tokenizer.decode(answer), "a");
  assertEquals(textOf(new AnswerText(tokenizer, before, []), [answer]), " a");
  assertEquals(textOf(new AnswerText(tokenizer, [], []), [answer]), "a");
  assertEquals(textOf(new AnswerText(tokenizer, ids.slice(0, 1), []), [answer]), "a"); // after <s> alone
});

Deno.test("a model's answer keeps SentencePiece's first space after a text or its tokens, and not in a chat", async () => {
  const tokenizer = await load(SENTENCEPIECE, { chat_template: "U:{{ messages[0].content }}A:" });
  const source = madeUp({ ...SMALL, vocab_size: 300 }, "BF16");
  using model = await loadFrom(source, tokenizer, { context: 50, rowCosts });
  const replay = tokenizer.encode("a b", { addSpecialTokens: false }); // ▁a ▁ b
  const chat = [{ role: "user", content: "a" }];
  for (
    const [prompt, text] of [["a", " a b"], [tokenizer.encode("a"), " a b"], [chat, "a b"]] as const
  ) {
    const generation = model.generate(prompt, { replay, ignoreEos: true });
    const pieces = await Array.fromAsync(generation, (piece) => piece.text);
    const result = await generation.result();
    const what = `prompt ${JSON.stringify(prompt)}`;
    assertEquals([result.tokens, result.text, pieces.join("")], [replay, text, text], what);
  }
});

Deno.test("an answer without tokens has no text, whatever the prompt leaves unfinished", async () => {
  const tokenizer = await load(BYTE_LEVEL);
  const before = tokenizer.encode("aé", { addSpecialTokens: false }).slice(0, -1);
  assertEquals(tokenizer.decode(before), "a\ufffd");
  assertEquals(textOf(new AnswerText(tokenizer, before, []), []), "");
  assertEquals(textOf(new AnswerText(tokenizer, before, []), [[]]), "");
  const half = tokenizer.encode("é", { addSpecialTokens: false }).slice(0, 1);
  assertEquals(textOf(new AnswerText(tokenizer, [], []), [half]), "\ufffd"); // one with a token has
  const source = madeUp({ ...SMALL, vocab_size: 300 }, "BF16");
  using model = await loadFrom(source, tokenizer, { context: 50, rowCosts });
  const generation = model.generate(before, { maxNewTokens: 0 });
  assertEquals(await Array.fromAsync(generation), []);
  assertEquals((await generation.result()).text, "");
});

for (const [kind, json] of Object.entries({ SENTENCEPIECE, METASPACE, BYTE_LEVEL })) {
  Deno.test(
    `prompt and answer make the text of all their tokens, wherever it is cut (${kind})`,
    seeded(async (random) => {
      const tokenizer = await load(json);
      for (let i = 0; i < 500; i++) {
        const ids = Array.from({ length: 1 + random.below(12) }, () => random.below(280));
        const cut = random.below(ids.length + 1);
        const passes: number[][] = [];
        for (let begin = cut; begin < ids.length;) {
          const end = begin + random.between(1, 4);
          passes.push(ids.slice(begin, end));
          begin = end;
        }
        // A character of several bytes that the cut is within belongs to the answer, unless that has no tokens.
        const prompt = tokenizer.streamDecoder();
        const before = prompt.push(ids.slice(0, cut));
        const rest = cut === ids.length ? prompt.flush() : "";
        const text = textOf(new AnswerText(tokenizer, ids.slice(0, cut), []), passes);
        assertEquals(before + rest + text, tokenizer.decode(ids), JSON.stringify({ ids, cut }));
        if (cut === ids.length) assertEquals(text, "");
      }
    }),
  );
}

Deno.test("a stop string that names a special token ends the answer with that token", async () => {
  const tokenizer = await load(SENTENCEPIECE);
  const [unk, end] = [0, 2];
  const words = tokenizer.encode("a b", { addSpecialTokens: false });
  const answer = () => new AnswerText(tokenizer, [], ["bb", "</s>"]);

  const stopped = answer();
  assertEquals(stopped.push([...words, unk, end, ...words]), {
    kept: [...words, unk, end],
    shown: "a b", // with the b that might have begun "bb"
  });
  assertEquals([stopped.isStopped, stopped.end(), stopped.whole], [true, "", "a b"]);

  const unknown = new AnswerText(tokenizer, [], ["<unk>"]); // whose id is 0
  assertEquals(unknown.push([...words, unk, ...words]).kept, [...words, unk]);

  const open = answer();
  assertEquals(open.push([...words, unk]).shown, "a ");
  assertEquals([open.isStopped, open.end(), open.whole], [false, "b", "a b"]);
});

Deno.test("without a tokenizer an answer has no text", () => {
  const answer = new AnswerText(null, [1, 2], []);
  assertEquals(answer.push([3, 4]), { kept: [3, 4], shown: "" });
  assertEquals([answer.end(), answer.whole], ["", ""]);
});
