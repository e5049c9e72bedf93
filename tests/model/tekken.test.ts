import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DittoError } from "../../model/errors.ts";
import { tokenizerOfTekken } from "../../model/tekken.ts";
import { loadTokenizer, requireTokenizer } from "../../model/tokenizer.ts";
import { TempDir } from "./tiny_checkpoint.ts";
import { SENTENCEPIECE } from "./tiny_tokenizers.ts";

/** What Mistral's own files split text with. */
const PATTERN =
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|" +
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|" +
  "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Characters are bytes. */
const BYTES = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
const JOINED = [
  ...["th", "he", " t", "the", " th", " the", "ab", "ba", "aba", "abab"],
  ...["\xe6\x97", "\xe6\x97\xa5", "\xc3\xa9", "qx", "pqx", "xy", "pq", "pqxy", "kvu", "\n\n"],
];
const VOCAB = [...BYTES, ...JOINED].map((token, rank) => ({
  rank,
  token_bytes: btoa(token),
  token_str: null,
}));
const CONFIG = {
  pattern: PATTERN,
  num_vocab_tokens: VOCAB.length,
  default_vocab_size: 8 + VOCAB.length - 1,
  default_num_special_tokens: 8,
  version: "v11",
};
const SPECIAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
  .map((token_str, rank) => ({ rank, token_str, is_control: true }));
const TEKKEN = { config: CONFIG, vocab: VOCAB, special_tokens: SPECIAL };
/** As those of Mistral Nemo: no special tokens are listed. */
const OLD = {
  config: {
    ...CONFIG,
    default_vocab_size: 30 + VOCAB.length,
    default_num_special_tokens: 30,
    version: "v3",
  },
  vocab: VOCAB,
};

async function load(files: Record<string, unknown>, vocabSize = 400) {
  await using dir = await new TempDir().write(files);
  return requireTokenizer(await loadTokenizer(dir.path, { vocabSize, bosTokenId: null }), dir.path);
}

// What is expected comes from mistral_common 1.13's Tekkenizer and transformers 5.17's MistralConverter.
Deno.test("loadTokenizer() reads a tekken.json as mistral_common does", async () => {
  const tokenizer = await load({ "tekken.json": TEKKEN });
  assertEquals(tokenizer.encode("the ababa"), [1, 267, 40, 270, 272]);
  assertEquals(tokenizer.encode("kvu"), [1, 282]); // no merge makes it
  // The last token, "\n\n", is beyond default_vocab_size.
  const ids = [1, 92, 265, 118, 40, 275, 238, 164, 180, 40, 276, 18, 18, 57, 58];
  assertEquals(tokenizer.encode("Then 日本 é\n\n12"), ids);
  assertEquals(tokenizer.decode(ids), "Then 日本 é\n\n12");
  assertEquals(tokenizer.encode("a[INST]the</s>"), [1, 105, 3, 267, 2]);
  assertEquals(tokenizer.decode([1, 3, 267], { skipSpecialTokens: false }), "<s>[INST]the");
  assertEquals(tokenizer.specialToken("[/INST]"), 4);
  assertEquals(tokenizer.specialToken("<SPECIAL_7>"), 7);
  assertEquals(tokenizer.specialToken("<SPECIAL_4>"), undefined);
  const old = await load({ "tekken.json": OLD });
  assertEquals(old.encode("the ababa"), [1, 289, 62, 292, 294]);
  assertEquals(
    old.encode("Then 日本 é\n\n12"),
    [1, 114, 287, 140, 62, 297, 260, 186, 202, 62, 298, 305, 79, 80],
  );
  assertEquals(old.specialToken("[/AVAILABLE_TOOLS]"), 6);
  assertEquals(old.specialToken("<pad>"), 11);
  assertEquals(old.specialToken("[TOOL_CONTENT]"), 19);
  assertEquals(old.specialToken("<SPECIAL_25>"), 25);
});

Deno.test("tokenizerOfTekken() makes the merges that transformers makes", () => {
  const { merges } = tokenizerOfTekken(TEKKEN, "x").model as { merges: string[][] };
  const expected =
    "t h,h e,Ġ t,t he,th e,Ġ th,Ġt h,Ġ the,Ġt he,Ġth e,a b,b a,a ba,ab a,ab ab,aba b," +
    "æ Ĺ,æĹ ¥,Ã ©,q x,p qx,pq x,x y,p q,pqx y,pq xy";
  assertEquals(merges.map((pair) => pair.join(" ")).join(), expected);
});

Deno.test("loadTokenizer() completes a tekken.json with what lies beside it", async () => {
  const chat = "{{ bos_token }}[INST]{{ messages[0].content }}[/INST]{{ eos_token }}";
  const messages = [{ role: "user", content: "the" }];
  const tokenizer = await load({ "tekken.json": TEKKEN, "chat_template.jinja": chat });
  assertEquals(tokenizer.applyChatTemplate(messages), "<s>[INST]the[/INST]</s>");
  assertEquals(tokenizer.encodeChat(messages), [1, 3, 267, 4, 2]);
  const bare = await load({ "tekken.json": TEKKEN });
  const { message } = assertThrows(() => bare.applyChatTemplate(messages), DittoError);
  assertStringIncludes(message, "convert_tokenizer_to_chat_template");
  const named = await load({
    "tekken.json": TEKKEN,
    "tokenizer_config.json": { chat_template: chat, eos_token: "[/INST]" },
  });
  assertEquals(named.applyChatTemplate(messages), "<s>[INST]the[/INST][/INST]");
  // A tokenizer.json counts before it.
  const both = await load({ "tekken.json": TEKKEN, "tokenizer.json": SENTENCEPIECE });
  assertEquals(both.specialToken("[INST]"), undefined);
});

Deno.test("loadTokenizer() splits text as the tekken.json does that lies beside a tokenizer.json", async () => {
  const characters = {
    type: "Split",
    pattern: { Regex: "." },
    behavior: "Isolated",
    invert: false,
  };
  const bytes = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const encoded = async (pretokenizers: object[], beside: object) => {
    const pre_tokenizer = { type: "Sequence", pretokenizers };
    const json = { ...tokenizerOfTekken(TEKKEN, "x"), pre_tokenizer };
    return (await load({ "tokenizer.json": json, ...beside })).encode("the");
  };
  const beside = { "tekken.json": TEKKEN };
  const apart = [1, 124, 112, 109]; // <s>, then bytes
  assertEquals(await encoded([characters, bytes], {}), apart);
  assertEquals(await encoded([characters, bytes], beside), [1, 267]);
  // Not what a tekken.json could be: nothing is known of how that splits text.
  assertEquals(await encoded([characters, characters, bytes], beside), apart);
  assertEquals(await encoded([characters, bytes], { "tekken.json": { config: {} } }), apart);
});

Deno.test("loadTokenizer() begins text as the tekken.json does that lies beside a tokenizer.json", async () => {
  const json = tokenizerOfTekken(TEKKEN, "x");
  const encoded = async (change: object, beside: object) => {
    const tokenizer = await load({ "tokenizer.json": { ...json, ...change }, ...beside });
    const chat = tokenizer.encode("<s>the", { addSpecialTokens: false });
    assertEquals(chat, [1, 267]); // such as a template writes
    return tokenizer.encode("the");
  };
  const beside = { "tekken.json": TEKKEN };
  // As transformers' MistralConverter writes it: nothing begins a text.
  const bare = { post_processor: { type: "ByteLevel", trim_offsets: false } };
  assertEquals(await encoded(bare, {}), [267]);
  assertEquals(await encoded(bare, beside), [1, 267]);
  assertEquals(await encoded({ post_processor: null }, beside), [1, 267]);
  // What begins or ends it in the first counts.
  const { single, special_tokens } = json.post_processor as {
    single: object[];
    special_tokens: object;
  };
  const last = {
    type: "TemplateProcessing",
    single: single.toReversed(),
    pair: [],
    special_tokens,
  };
  assertEquals(await encoded({ post_processor: last }, beside), [267, 1]);
});

Deno.test("loadTokenizer() refuses a tekken.json that makes no sense", async () => {
  const refused = async (change: object, found: string, vocabSize = 400) => {
    const files = { "tekken.json": { ...TEKKEN, ...change } };
    const { message } = await assertRejects(() => load(files, vocabSize), DittoError);
    assertStringIncludes(message, "/tekken.json ");
    assertStringIncludes(message, found);
  };
  const vocab = (index: number, entry: unknown) => ({
    vocab: VOCAB.map((token, i) => i === index ? entry : token),
  });
  const config = (change: object) => ({ config: { ...CONFIG, ...change } });
  await refused({ config: null }, "is not a tekken.json: it has the pattern undefined");
  await refused(config({ pattern: "(" }), "is not a tokenizer Ditto can use");
  await refused({ vocab: {} }, "the vocabulary {}");
  await refused(vocab(260, { ...VOCAB[260], rank: 261 }), "at 260");
  await refused(vocab(260, { ...VOCAB[260], token_bytes: "?" }), "at 260");
  await refused(vocab(260, { rank: 260, token_bytes: btoa("ab") }), "at 262"); // there again
  await refused(vocab(7, { rank: 7, token_bytes: btoa("\x08") }), "at 7"); // bytes are in order
  await refused(config({ default_vocab_size: 500 }), "8 special ones and default_vocab_size 500");
  await refused(config({ default_vocab_size: 263 }), "8 special ones and default_vocab_size 263");
  await refused(
    config({ default_num_special_tokens: 4 }),
    "5 special tokens and default_num_special_tokens 4",
  );
  await refused(
    config({ default_num_special_tokens: 1e9 }),
    "default_num_special_tokens 1000000000",
  );
  await refused({ special_tokens: "no" }, 'the special tokens "no"');
  await refused({ special_tokens: [{ rank: 0 }] }, 'the special token {"rank":0}');
  await refused({ special_tokens: SPECIAL.slice(1) }, "4 special tokens and none with the rank 0");
  await refused({ special_tokens: [SPECIAL[0]] }, 'no special token "<s>"');
  const twice = [...SPECIAL, { ...SPECIAL[3], rank: 5 }];
  await refused({ special_tokens: twice }, 'the special token "[INST]" twice');
  await refused({}, "but config.json has vocab_size 281", 281);
  const settings = (tokens: object) => ({
    "tekken.json": TEKKEN,
    "tokenizer_config.json": { added_tokens_decoder: tokens },
  });
  const word = { content: "[X]", single_word: true, lstrip: false, rstrip: false };
  for (const tokens of [{ 281: word }, { 300: word }, { x: word }]) {
    const { message } = await assertRejects(() => load(settings(tokens)), DittoError);
    assertStringIncludes(message, "/tekken.json");
    assert(!message.includes("/tokenizer.json"), message);
  }
});
