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
import { TempDir } from "./tiny_checkpoint.ts";
import { BYTE_LEVEL, METASPACE, SENTENCEPIECE, SPLIT_BYTE_LEVEL } from "./tiny_tokenizers.ts";

const CONFIG = { vocabSize: 600, bosTokenId: 1 };

/** Loads a tokenizer of these files. */
async function load(files: Record<string, unknown>, config = CONFIG) {
  await using dir = await new TempDir().write(files);
  return requireTokenizer(await loadTokenizer(dir.path, config), dir.path);
}

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

const TOKEN = { lstrip: false, rstrip: false, single_word: false, normalized: false };

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
