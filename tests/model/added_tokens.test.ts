import { assertEquals, assertRejects } from "@std/assert";
import { DittoError } from "../../model/errors.ts";
import { CONFIG, load, TOKEN } from "./load_tokenizer.ts";
import { METASPACE, SENTENCEPIECE } from "./tiny_tokenizers.ts";

Deno.test("loadTokenizer() leaves out added tokens that the model has no embedding for", async () => {
  const pad = { id: 600, content: "ab", special: true };
  const added_tokens = [...SENTENCEPIECE.added_tokens, pad];
  const json = { ...SENTENCEPIECE, added_tokens };
  const small = await load({ "tokenizer.json": json }, { ...CONFIG, vocabSize: 600 });
  const large = await load({ "tokenizer.json": json }, { ...CONFIG, vocabSize: 601 });
  const plain = await load({ "tokenizer.json": SENTENCEPIECE }, { ...CONFIG, vocabSize: 600 });
  assertEquals(large.encode("ab").at(-1), 600);
  assertEquals(small.encode("ab"), plain.encode("ab"));
  assertEquals(small.decode(small.encode("ab")), "ab");
});

Deno.test("loadTokenizer() adds the tokens that only tokenizer_config.json has, as transformers does", async () => {
  const next = Object.keys(SENTENCEPIECE.model.vocab).length;
  const decoder = (tokens: Record<number, object>, vocabSize = 600, more: object = {}) =>
    load({
      "tokenizer.json": SENTENCEPIECE,
      "tokenizer_config.json": { added_tokens_decoder: tokens, ...more },
    }, { ...CONFIG, vocabSize });
  const both = {
    [next + 1]: { ...TOKEN, content: "<|tool|>", special: false },
    [next]: { ...TOKEN, content: "<|end|>", special: true },
    1: { ...TOKEN, content: "<s>", special: true },
  };
  const tokenizer = await decoder(both);
  const ids = tokenizer.encode("a<|end|><|tool|>");
  assertEquals(ids.slice(-2), [next, next + 1]);
  assertEquals(tokenizer.decode(ids), "a<|tool|>");
  assertEquals(tokenizer.specialToken("<|end|>"), next);
  assertEquals(tokenizer.specialToken("<|tool|>"), undefined);
  assertEquals(tokenizer.specialToken("<s>"), 1);
  const small = await decoder(both, next + 1);
  assertEquals(small.encode("<|end|>").at(-1), next);
  assertEquals(small.encode("<|tool|>").includes(next + 1), false);
  const refuse = async (tokens: Record<string, unknown>, part: string) => {
    await assertRejects(() => decoder(tokens as Record<number, object>), DittoError, part);
  };
  const end = { ...TOKEN, content: "<|end|>", special: true };
  await refuse({ [next + 2]: end }, `"<|end|>" with the id ${next + 2}, and`);
  await refuse({ 7: end }, `"<|end|>" with the id 7, and`);
  assertEquals((await decoder({ 7: { ...end, content: "</s>" } })).specialToken("</s>"), 2);
  for (const tokens of [{ x: end }, { 300: "<|end|>" }, { 300: {} }]) {
    await refuse(tokens, "in added_tokens_decoder");
  }
  await assertRejects(() => decoder([end]), DittoError, "in added_tokens_decoder");
});

Deno.test("loadTokenizer() takes the tokens that tokenizer_config.json names for special", async () => {
  const next = Object.keys(SENTENCEPIECE.model.vocab).length;
  const end = { ...TOKEN, id: next, content: "<|end|>", special: false };
  const json = { ...SENTENCEPIECE, added_tokens: [...SENTENCEPIECE.added_tokens, end] };
  const named = { __type: "AddedToken", ...TOKEN, content: "<|end|>", special: true };
  for (
    const config of [
      { eos_token: "<|end|>" },
      { pad_token: named },
      { image_token: "<|end|>" }, // of one model
      { extra_special_tokens: { own_token: "<|end|>" } },
    ]
  ) {
    const tokenizer = await load({ "tokenizer.json": json, "tokenizer_config.json": config });
    assertEquals(tokenizer.specialToken("<|end|>"), next);
    assertEquals(tokenizer.decode(tokenizer.encode("a<|end|>")), "a");
  }
  // Those that are only listed stay as they are if they have been added.
  for (const field of ["additional_special_tokens", "extra_special_tokens"]) {
    const config = { [field]: ["<|end|>", "▁a"] };
    const tokenizer = await load({ "tokenizer.json": json, "tokenizer_config.json": config });
    assertEquals(tokenizer.decode(tokenizer.encode("a b<|end|>")), "b<|end|>");
  }
  const pad = { "tokenizer.json": SENTENCEPIECE, "tokenizer_config.json": { pad_token: "[PAD]" } };
  assertEquals((await load(pad)).encode("[PAD]").at(-1), next);
  assertEquals((await load(pad, { ...CONFIG, vocabSize: next })).specialToken("[PAD]"), undefined);
});

Deno.test("loadTokenizer() reads special_tokens_map.json where transformers does", async () => {
  const map = { bos_token: "</s>", eos_token: { ...TOKEN, content: "▁a" }, own_token: "é" };
  const chat_template = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ own_token }}";
  const write = async (config: object, special_tokens_map: unknown = map) => {
    const tokenizer = await load({
      "tokenizer.json": SENTENCEPIECE,
      "tokenizer_config.json": { chat_template, ...config },
      "special_tokens_map.json": special_tokens_map,
    });
    return [
      tokenizer.applyChatTemplate([{ role: "user", content: "" }]),
      tokenizer.decode(tokenizer.encode("a b")),
    ];
  };
  assertEquals(await write({}), ["</s>|▁a||é", "b"]);
  assertEquals(await write({ bos_token: "<s>", pad_token: "<unk>" }), ["</s>|▁a|<unk>|é", "b"]);
  const decoder = { added_tokens_decoder: { 1: { ...TOKEN, content: "<s>", special: true } } };
  assertEquals(await write(decoder), ["<s>|||", "a b"]); // bos_token_id of config.json
  await assertRejects(() => write({}, []), DittoError, "special_tokens_map.json holds [], not an");
});

// What is expected comes from transformers 5.17.
Deno.test("loadTokenizer() reads added_tokens.json where transformers does", async () => {
  const next = Object.keys(SENTENCEPIECE.model.vocab).length;
  const write = (added: unknown, config: object = {}, tokens: object[] = []) =>
    load({
      "tokenizer.json": {
        ...SENTENCEPIECE,
        added_tokens: [...SENTENCEPIECE.added_tokens, ...tokens],
      },
      "tokenizer_config.json": config,
      "added_tokens.json": added,
    });
  const both = { "<|tool|>": next + 1, "<|end|>": next };
  const tokenizer = await write(both, { additional_special_tokens: ["<|end|>"] });
  const ids = tokenizer.encode("a<|end|>b");
  assertEquals(ids, [1, tokenizer.encode("a")[1]!, next, ...tokenizer.encode("b").slice(1)]);
  assertEquals(tokenizer.decode(ids), "a b");
  assertEquals(tokenizer.specialToken("<|end|>"), next);
  // Not special, and so found in text that is normalized: after the space that begins it.
  assertEquals(tokenizer.encode("<|tool|>"), [1, next + 1]);
  assertEquals(tokenizer.encode("a<|tool|>").includes(next + 1), false);
  // What tokenizer.json says of a token stays.
  const tool = { ...TOKEN, id: next, content: "<|tool|>", special: true };
  const listed = await write({ "<|tool|>": next }, {}, [tool]);
  assertEquals(listed.specialToken("<|tool|>"), next);
  assertEquals(listed.encode("a<|tool|>").at(-1), next);
  // With added_tokens_decoder the file does not count.
  assertEquals(
    (await write(both, { added_tokens_decoder: {} })).encode("<|tool|>").includes(next + 1),
    false,
  );
  await assertRejects(() => write({ "<|end|>": next + 5 }), DittoError, `the id ${next + 5}, and`);
  await assertRejects(() => write({ "<|end|>": "x" }), DittoError, "or in added_tokens.json");
  await assertRejects(() => write([]), DittoError, "added_tokens.json holds []");
});

// What is expected comes from transformers 5.17 (tokenizers 0.23; older ones lost the spaces).
Deno.test("Tokenizer.decode() writes the space before an added token that was found with it", async () => {
  const id = Object.keys(SENTENCEPIECE.model.vocab).length;
  const tool = { ...TOKEN, id, content: "<|tool|>", special: false, normalized: true };
  const added_tokens = [...SENTENCEPIECE.added_tokens, tool];
  const tokenizer = await load({ "tokenizer.json": { ...SENTENCEPIECE, added_tokens } });
  for (
    const [text, ids] of [
      ["a <|tool|>b", [1, 263, id, 261]],
      ["<|tool|>a", [1, id, 260]],
      [" <|tool|> <|tool|>", [1, 259, id, id]],
    ] as [string, number[]][]
  ) {
    assertEquals(tokenizer.encode(text), ids);
    assertEquals(tokenizer.decode(ids), text);
  }
});

Deno.test("loadTokenizer() refuses added tokens that the library would find otherwise", async () => {
  const adding = (token: object, fields: object = {}, vocabSize = 600) => {
    const added = { ...TOKEN, id: 500, content: "ab", special: false, ...token };
    const added_tokens = [...SENTENCEPIECE.added_tokens, added];
    const json = { ...SENTENCEPIECE, ...fields, added_tokens };
    return load({ "tokenizer.json": json }, { ...CONFIG, vocabSize });
  };
  await assertRejects(() => adding({ single_word: true }), DittoError, '"ab" with single_word');
  await adding({ single_word: true }, {}, 500);
  const first = { normalizer: { type: "NFC" }, pre_tokenizer: METASPACE.pre_tokenizer };
  await assertRejects(() => adding({ normalized: true }, first), DittoError, '"ab" that is normal');
  await adding({ normalized: false }, first);
  await adding({ normalized: true }, { ...first, normalizer: null });
  await adding({ normalized: true });
});
