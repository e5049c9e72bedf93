import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DittoError } from "../../model/errors.ts";
import { loadTokenizer, requireTokenizer } from "../../model/tokenizer.ts";
import { random as randomBelow } from "../decode/buffers.ts";
import { CONFIG, load } from "./load_tokenizer.ts";
import { TempDir } from "./tiny_checkpoint.ts";
import { BYTE_LEVEL, METASPACE, SENTENCEPIECE, SPLIT_BYTE_LEVEL } from "./tiny_tokenizers.ts";

const KINDS = { SENTENCEPIECE, METASPACE, BYTE_LEVEL, SPLIT_BYTE_LEVEL };
for (const [kind, json] of Object.entries(KINDS)) {
  Deno.test(`Tokenizer brings every text back (${kind})`, async () => {
    const tokenizer = await load({ "tokenizer.json": json });
    const random = randomBelow(4);
    const texts = [
      "",
      " ",
      "  two",
      "a b",
      "héllo",
      "日本語",
      "🙂🙃",
      "\n\t",
      "<s",
      "\u0000",
      "\ufeff",
    ];
    for (let i = 0; i < 200; i++) {
      texts.push(Array.from({ length: random(12) }, () => texts[random(11)]!).join(""));
    }
    for (const text of texts) {
      const ids = tokenizer.encode(text);
      assertEquals(ids[0], 1);
      assertEquals(tokenizer.encode(text, { addSpecialTokens: false }), ids.slice(1));
      // Metaspace puts no space before a text that begins with one, and so loses it, as in Rust.
      const expected = kind === "METASPACE" ? text.replace(/^ /, "") : text;
      assertEquals(tokenizer.decode(ids), expected);
      const decoder = tokenizer.streamDecoder();
      const pieces = ids.map((id) => decoder.push([id]));
      assert(!pieces.some((piece) => piece.includes("\ufffd")), text);
      assertEquals(pieces.join("") + decoder.flush(), expected);
    }
  });

  Deno.test(`StreamDecoder equals decoding at once, and the library (${kind})`, async () => {
    const tokenizer = await load({ "tokenizer.json": json });
    const library = new HuggingFaceTokenizer(json, { clean_up_tokenization_spaces: false });
    const random = randomBelow(5);
    const known = library.get_vocab().size;
    for (let round = 0; round < 2000; round++) {
      const range = round % 2 ? known + 5 : 24; // everything, or few tokens that often meet
      const ids = Array.from({ length: random(12) }, () => random(range));
      for (const skipSpecialTokens of [true, false]) {
        const decoder = tokenizer.streamDecoder({ skipSpecialTokens });
        let streamed = "";
        for (let begin = 0; begin < ids.length;) {
          const end = begin + 1 + random(3);
          streamed += decoder.push(ids.slice(begin, end));
          begin = end;
        }
        streamed += decoder.flush();
        assertEquals(streamed, tokenizer.decode(ids, { skipSpecialTokens }));
        const existing = ids.filter((id) => id < known);
        const expected = existing.length === 0
          ? ""
          : library.decode(existing, { skip_special_tokens: skipSpecialTokens });
        assertEquals(streamed, expected, `${ids}`);
      }
    }
  });
}

Deno.test("Tokenizer.decode() keeps a byte-order mark and replaces broken characters", async () => {
  const tokenizer = await load({ "tokenizer.json": SENTENCEPIECE });
  const bytes = (...values: number[]) => values.map((byte) => byte + 3);
  assertEquals(tokenizer.decode(bytes(0xef, 0xbb, 0xbf)), "\ufeff");
  assertEquals(tokenizer.decode(bytes(0xe6, 0x97)), "\ufffd");
  const decoder = tokenizer.streamDecoder();
  assertEquals(decoder.push(bytes(0xe6, 0x97)), "");
  assertEquals(decoder.push(tokenizer.encode("a", { addSpecialTokens: false })), "\ufffd a");
  assertEquals(decoder.flush(), "");
});

Deno.test("Tokenizer.decode() skips special tokens and ids without a token", async () => {
  const tokenizer = await load({ "tokenizer.json": SENTENCEPIECE });
  const ids = [...tokenizer.encode("a b"), 2, 599, 1e9, -1];
  assertEquals(tokenizer.decode(ids), "a b");
  assertEquals(tokenizer.decode(ids, { skipSpecialTokens: false }), "<s> a b</s>");
});

for (const [kind, json] of Object.entries(KINDS)) {
  Deno.test(`Tokenizer.words() joins what differs by a space or capitals alone (${kind})`, async () => {
    const tokenizer = await load({ "tokenizer.json": json });
    const words = tokenizer.words(CONFIG.vocabSize);
    assertEquals(words.length, CONFIG.vocabSize);
    const least = new Map<string, number>();
    const expected = Array.from(words, (_, id) => {
      const word = tokenizer.decode([id]).trim().toLowerCase(); // special tokens write nothing
      if (word === "" || word.includes("\ufffd")) return id;
      if (!least.has(word)) least.set(word, id);
      return least.get(word)!;
    });
    assertEquals([...words], expected);
    const joined = expected.filter((least, id) => least !== id).length;
    assert(joined >= 26, `${joined} tokens were joined with others`); // the alphabet at least
  });
}

Deno.test("Tokenizer.words() keeps apart what writes no word", async () => {
  const tokenizer = await load({ "tokenizer.json": BYTE_LEVEL });
  const words = tokenizer.words(CONFIG.vocabSize);
  for (const text of [" ", "\n", "\t"]) {
    for (const id of tokenizer.encode(text, { addSpecialTokens: false })) {
      assertEquals(words[id], id);
    }
  }
  for (const id of [0, 1, 2, CONFIG.vocabSize - 1]) assertEquals(words[id], id); // special, and none
  for (const id of tokenizer.encode("🙂é", { addSpecialTokens: false })) {
    assertEquals(words[id], id); // parts of characters
  }
});

Deno.test("loadTokenizer() returns null without tokenizer.json and tekken.json", async () => {
  await using dir = new TempDir();
  assertEquals(await loadTokenizer(dir.path, CONFIG), null);
  const error = assertThrows(() => requireTokenizer(null, dir.path), DittoError);
  assertStringIncludes(error.message, `${dir.path} has neither tokenizer.json nor tekken.json`);
});

Deno.test("loadTokenizer() refuses broken files", async () => {
  const refuse = async (files: Record<string, unknown>, part: string, vocabSize = 600) => {
    await assertRejects(() => load(files, { ...CONFIG, vocabSize }), DittoError, part);
  };
  await refuse({ "tokenizer.json": "{" }, "tokenizer.json is not valid JSON");
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  const good = { "tokenizer.json": SENTENCEPIECE };
  for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
    await refuse({ ...good, [name]: pointer }, `${name} is, it seems, a pointer of Git LFS`);
  }
  const utf16 = new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7b, 0]); // as PowerShell writes it
  await refuse({ ...good, "chat_template.jinja": utf16 }, "chat_template.jinja is not UTF-8");
  for (const json of [null, [], 7, {}, { model: {} }, { model: { vocab: 3 } }]) {
    await refuse({ "tokenizer.json": json }, "tokenizer.json is not a tokenizer");
  }
  const change = (fields: object) => ({ "tokenizer.json": { ...SENTENCEPIECE, ...fields } });
  await refuse(change({ added_tokens: 3 }), "added_tokens");
  await refuse(change({ added_tokens: [null] }), "a token undefined");
  await refuse(change({ added_tokens: [{ content: "x", id: -1 }] }), "the id -1");
  await refuse(change({ model: { type: "BPE", vocab: { a: "0" }, merges: [] } }), 'the id "0"');
  await refuse(change({ model: { type: "Magic", vocab: { a: 0 } } }), "Magic");
  await refuse(change({ normalizer: { type: "Magic" } }), "not a tokenizer Ditto can use");
  await refuse(change({ decoder: { type: "WordPiece" } }), "WordPiece");
  await refuse(change({ decoder: 3 }), "decoder 3");
  await refuse(change({ decoder: { type: "Sequence", decoders: [3] } }), "decoder 3");
  await refuse(
    change({ decoder: { type: "Sequence", decoders: {} } }),
    'decoder {"type":"Sequence"',
  );
  const merging = (merges?: unknown) => change({ model: { ...SENTENCEPIECE.model, merges } });
  await refuse(merging(), "merges undefined");
  for (const merge of ["bogus", "a b c", "a ", ["a"], ["a", 1], null]) {
    await refuse(
      merging([["▁", "a"], merge]),
      `a merge ${JSON.stringify(merge)}, which is no pair`,
    );
  }
  await load(merging([["▁", "a"], "U :"]));
  const cut = { type: "TemplateProcessing" };
  await refuse(change({ post_processor: cut }), "not a tokenizer Ditto can use");
  await refuse({ "tokenizer.json": SENTENCEPIECE, "tokenizer_config.json": [] }, "not an object");
  const size = Object.keys(SENTENCEPIECE.model.vocab).length;
  await refuse({ "tokenizer.json": SENTENCEPIECE }, `vocab_size ${size - 1}`, size - 1);
  await load({ "tokenizer.json": SENTENCEPIECE }, { ...CONFIG, vocabSize: size });
});

const CHAT = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}" +
  "{{ 'U:' + message['content'] }}{% else %}{{ raise_exception('Only users speak.') }}{% endif %}" +
  "{% endfor %}{% if add_generation_prompt %}{{ 'A:' }}{% endif %}";
const MESSAGES = [{ role: "user", content: "a" }];

Deno.test("Tokenizer.applyChatTemplate() renders the checkpoint's template", async () => {
  const withConfig = (tokenizer_config: object, files: Record<string, unknown> = {}) =>
    load({
      "tokenizer.json": SENTENCEPIECE,
      "tokenizer_config.json": tokenizer_config,
      ...files,
    });
  const expected = "<s>U:aA:";
  for (const bos_token of ["<s>", { __type: "AddedToken", content: "<s>" }, undefined, null]) {
    const tokenizer = await withConfig({ bos_token, chat_template: CHAT });
    assertEquals(tokenizer.applyChatTemplate(MESSAGES), expected);
    assertEquals(tokenizer.applyChatTemplate(MESSAGES, { addGenerationPrompt: false }), "<s>U:a");
    const ids = tokenizer.encodeChat(MESSAGES);
    assertEquals(ids, tokenizer.encode(expected, { addSpecialTokens: false }));
    assertEquals(ids.filter((id) => id === 1), [1]);
  }
  const named = [{ name: "tool_use", template: "T" }, { name: "default", template: CHAT }];
  assertEquals((await withConfig({ chat_template: named })).applyChatTemplate(MESSAGES), expected);
  const file = await withConfig({ chat_template: "F" }, { "chat_template.jinja": CHAT });
  assertEquals(file.applyChatTemplate(MESSAGES), expected);
  const processor = { "chat_template.json": { chat_template: CHAT } };
  assertEquals((await withConfig({}, processor)).applyChatTemplate(MESSAGES), expected);
  const both = await withConfig({ chat_template: "F" }, processor);
  assertEquals(both.applyChatTemplate(MESSAGES), "F");
  const asked = "{% if tools is none and documents is none %}none{% endif %}";
  assertEquals((await withConfig({ chat_template: asked })).applyChatTemplate(MESSAGES), "none");
  const bare = await withConfig({ chat_template: "{{ messages[0].content }}" });
  // As transformers' apply_chat_template(tokenize=True), which calls the tokenizer with add_special_tokens=False.
  assertEquals(bare.encodeChat(MESSAGES), bare.encode("a", { addSpecialTokens: false }));
  assertEquals(bare.encodeChat(MESSAGES).includes(1), false);
});

Deno.test("Tokenizer.applyChatTemplate() says why it cannot", async () => {
  const message = async (chat_template: unknown) => {
    const files = { "tokenizer.json": SENTENCEPIECE, "tokenizer_config.json": { chat_template } };
    const tokenizer = await load(files);
    const messages = [...MESSAGES, { role: "system", content: "b" }];
    return assertThrows(() => tokenizer.applyChatTemplate(messages), DittoError).message;
  };
  assertStringIncludes(await message(undefined), "has no chat template");
  assertStringIncludes(await message(null), "has no chat template");
  assertStringIncludes(await message([{ name: "rag", template: "x" }]), '(it has ["rag"])');
  assertStringIncludes(await message({ default: "x" }), "no template named");
  assertStringIncludes(await message("{% for %}"), "is not valid Jinja");
  assertStringIncludes(await message(CHAT), "Only users speak.");

  const config = { chat_template: CHAT };
  const tokenizer = await load({
    "tokenizer.json": SENTENCEPIECE,
    "tokenizer_config.json": config,
  });
  const parts = { role: "user", content: [{ type: "text", text: "a" }] };
  for (const bad of [parts, { role: "user" }, { role: 1, content: "a" }, "a", null]) {
    const messages = [...MESSAGES, bad] as unknown as typeof MESSAGES;
    const { message } = assertThrows(() => tokenizer.applyChatTemplate(messages), DittoError);
    assertStringIncludes(message, `Message ${MESSAGES.length} is `);
    assertStringIncludes(message, "must be strings");
  }
});
