import { assertEquals } from "@std/assert";
import { load, TOKEN } from "./load_tokenizer.ts";
import { SENTENCEPIECE } from "./tiny_tokenizers.ts";

Deno.test("loadTokenizer() takes a model without a type for BPE, as old files have it", async () => {
  const { type: _, continuing_subword_prefix: __, ...model } = SENTENCEPIECE.model;
  const tokenizer = await load({ "tokenizer.json": { ...SENTENCEPIECE, model } });
  const whole = await load({ "tokenizer.json": SENTENCEPIECE });
  for (const text of ["a b", "é日①", "U:A:"]) {
    assertEquals(tokenizer.encode(text), whole.encode(text));
  }
});

Deno.test("loadTokenizer() gives the library no settings that tokenizers in Rust do not know", async () => {
  const settings = {
    remove_space: true,
    do_lowercase_and_remove_accent: true,
    additional_special_tokens: {},
  };
  const tokenizer = await load({
    "tokenizer.json": SENTENCEPIECE,
    "tokenizer_config.json": settings,
  });
  assertEquals(tokenizer.decode(tokenizer.encode(" U:  é ")), " U:  é ");
});

// What is expected comes from tokenizers 0.23.
Deno.test("Tokenizer.encode() writes characters that Unigram has no token for as bytes", async () => {
  const unigram = (fields: object, leftOut = "") => {
    const tokens = Object.keys(SENTENCEPIECE.model.vocab).filter((token) => token !== leftOut);
    const vocab = tokens.map((token, i) => [token, i < 259 ? 0 : -token.length]);
    const model = { type: "Unigram", unk_id: 0, vocab, ...fields };
    return load({ "tokenizer.json": { ...SENTENCEPIECE, model } });
  };
  const tokenizer = await unigram({ byte_fallback: true });
  for (
    const [text, ids] of [
      ["a b", [1, 263, 259, 261]],
      ["é①②a", [1, 259, 262, 229, 148, 163, 229, 148, 164, 260]],
      ["🙂</s>①", [1, 259, 243, 162, 156, 133, 2, 259, 229, 148, 163]],
      ["日本", [1, 259, 265, 233, 159, 175]],
    ] as [string, number[]][]
  ) {
    assertEquals(tokenizer.encode(text), ids);
    assertEquals(tokenizer.decode(ids), text.replace("</s>", " "));
  }
  assertEquals((await unigram({})).encode("é①②a"), [1, 259, 262, 0, 260]);
  const without = await unigram({ byte_fallback: true }, "<0xE2>");
  assertEquals(without.encode("é①②a"), [1, 258, 261, 0, 259]);
});

// What is expected comes from transformers 5.17.
Deno.test("Tokenizer.encode() drops the white space that added tokens take along, and no more", async () => {
  const next = Object.keys(SENTENCEPIECE.model.vocab).length;
  const added = [
    { content: "<|l|>", lstrip: true },
    { content: "<|r|>", rstrip: true },
    { content: "\n" },
    { content: "\n\n" },
    { content: "[n]", lstrip: true, rstrip: true, normalized: true },
    { content: "" },
  ].map((token, i) => ({ ...TOKEN, id: next + i, special: true, ...token }));
  const added_tokens = [...SENTENCEPIECE.added_tokens, ...added];
  const tokenizer = await load({ "tokenizer.json": { ...SENTENCEPIECE, added_tokens } });
  const [l, r, line, lines, n] = added.map(({ id }) => id) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const cases: [string, number[]][] = [
    ["a \x85\t<|l|> a", [263, l, 259, 263]],
    ["a\ufeff<|l|>", [263, 242, 190, 194, l]],
    ["<|r|> \x85\u3000a", [r, 263]],
    ["<|r|>\ufeffa", [r, 259, 242, 190, 194, 260]],
    ["<|r|>\n\na", [r, lines, 263]],
    ["\n<|l|>", [line, l]],
    [" <|l|> ", [l, 264]],
    [" <|r|>  <|l|> ", [264, r, l, 264]],
    ["<|r|><|r|> a", [r, r, 263]],
    ["a <|r|>", [263, 259, r]],
    ["a [n] a", [263, n, 263]],
  ];
  for (const [text, ids] of cases) {
    assertEquals(tokenizer.encode(text, { addSpecialTokens: false }), ids, JSON.stringify(text));
  }
});
