import { SequencePreTokenizer, Tokenizer } from "@huggingface/tokenizers";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DittoError } from "../../model/errors.ts";
import { mendPreTokenizer } from "../../model/pre_tokenizer.ts";
import { type Random, seeded } from "../random.ts";

type Steps = ConstructorParameters<typeof SequencePreTokenizer>[0];

const TEXTS = [
  "x½٣12 ²a",
  "a \ufeff b\u0085\u0085c",
  "a\n\n b don't's",
  "foo,!bar__baz é\u0301 ‿x。…$+",
  "  two  ",
  "\u200da\u200c b",
];

/** Pre-tokenizers, and the pieces tokenizers 0.23.3 (in Rust) makes of TEXTS, joined by "|". */
const PIECES: Record<string, [pre_tokenizer: unknown, pieces: string[]]> = {
  "digits": [{ "type": "Digits", "individual_digits": true }, [
    "x|½|٣|1|2| |²|a",
    "a \ufeff b\u0085\u0085c",
    "a\n\n b don't's",
    "foo,!bar__baz é\u0301 ‿x。…$+",
    "  two  ",
    "\u200da\u200c b",
  ]],
  "numbers": [{ "type": "Digits", "individual_digits": false }, [
    "x|½٣12| |²|a",
    "a \ufeff b\u0085\u0085c",
    "a\n\n b don't's",
    "foo,!bar__baz é\u0301 ‿x。…$+",
    "  two  ",
    "\u200da\u200c b",
  ]],
  "GPT-2's": [{
    "type": "ByteLevel",
    "add_prefix_space": false,
    "trim_offsets": true,
    "use_regex": true,
  }, [
    "x|Â½Ù£12|ĠÂ²|a",
    "a|Ġï»¿|Ġb|Âħ|Âħ|c",
    "a|ĊĊ|Ġb|Ġdon|'t|'s",
    "foo|,!|bar|__|baz|ĠÃ©|Ìģ|ĠâĢ¿|x|ãĢĤâĢ¦$+",
    "Ġ|Ġtwo|ĠĠ",
    "âĢį|a|âĢĮ|Ġb",
  ]],
  "GPT-2's with a space in front": [{
    "type": "ByteLevel",
    "add_prefix_space": true,
    "trim_offsets": true,
    "use_regex": true,
  }, [
    "Ġx|Â½Ù£12|ĠÂ²|a",
    "Ġa|Ġï»¿|Ġb|Âħ|Âħ|c",
    "Ġa|ĊĊ|Ġb|Ġdon|'t|'s",
    "Ġfoo|,!|bar|__|baz|ĠÃ©|Ìģ|ĠâĢ¿|x|ãĢĤâĢ¦$+",
    "Ġ|Ġtwo|ĠĠ",
    "ĠâĢį|a|âĢĮ|Ġb",
  ]],
  "punctuation": [{ "type": "Punctuation", "behavior": "Isolated" }, [
    "x½٣12 ²a",
    "a \ufeff b\u0085\u0085c",
    "a\n\n b don|'|t|'|s",
    "foo|,|!|bar|_|_|baz é\u0301 |‿|x|。|…|$|+",
    "  two  ",
    "\u200da\u200c b",
  ]],
  "runs of punctuation": [{ "type": "Punctuation", "behavior": "Contiguous" }, [
    "x½٣12 ²a",
    "a \ufeff b\u0085\u0085c",
    "a\n\n b don|'|t|'|s",
    "foo|,!|bar|__|baz é\u0301 |‿|x|。…$+",
    "  two  ",
    "\u200da\u200c b",
  ]],
  "words": [{ "type": "Whitespace" }, [
    "x|½|٣12|²|a",
    "a|\ufeff|b|c",
    "a|b|don|'|t|'|s",
    "foo|,!|bar__baz|é\u0301|‿x|。…$+",
    "two",
    "\u200da\u200c|b",
  ]],
  "white space": [{ "type": "WhitespaceSplit" }, [
    "x½٣12|²a",
    "a|\ufeff|b|c",
    "a|b|don't's",
    "foo,!bar__baz|é\u0301|‿x。…$+",
    "two",
    "\u200da\u200c|b",
  ]],
  "a string removed": [{
    "type": "Split",
    "pattern": { "String": " " },
    "behavior": "Removed",
    "invert": false,
  }, [
    "x½٣12|²a",
    "a|\ufeff|b\u0085\u0085c",
    "a\n\n|b|don't's",
    "foo,!bar__baz|é\u0301|‿x。…$+",
    "two",
    "\u200da\u200c|b",
  ]],
  "a pattern removed": [{
    "type": "Split",
    "pattern": { "Regex": "\\s(?:b|\\s)?" },
    "behavior": "Removed",
    "invert": false,
  }, [
    "x½٣12|²a",
    "a|\ufeff|c",
    "a|don't's",
    "foo,!bar__baz|é\u0301|‿x。…$+",
    "two",
    "\u200da\u200c",
  ]],
  "all but a pattern removed": [{
    "type": "Split",
    "pattern": { "Regex": "[a-z]+" },
    "behavior": "Removed",
    "invert": true,
  }, ["x|a", "a|b|c", "a|b|don|t|s", "foo|bar|baz|x", "two", "a|b"]],
  "a string kept": [{
    "type": "Split",
    "pattern": { "String": "o" },
    "behavior": "Isolated",
    "invert": false,
  }, [
    "x½٣12 ²a",
    "a \ufeff b\u0085\u0085c",
    "a\n\n b d|o|n't's",
    "f|o|o|,!bar__baz é\u0301 ‿x。…$+",
    "  tw|o|  ",
    "\u200da\u200c b",
  ]],
  "SentencePiece's spaces": [{
    "type": "Metaspace",
    "replacement": "▁",
    "prepend_scheme": "always",
    "split": true,
  }, [
    "▁x½٣12|▁²a",
    "▁a|▁\ufeff|▁b\u0085\u0085c",
    "▁a\n\n|▁b|▁don't's",
    "▁foo,!bar__baz|▁é\u0301|▁‿x。…$+",
    "▁|▁two|▁|▁",
    "▁\u200da\u200c|▁b",
  ]],
  "spaces and another character": [{
    "type": "Metaspace",
    "replacement": "_",
    "prepend_scheme": "never",
  }, [
    "x½٣12|_²a",
    "a|_\ufeff|_b\u0085\u0085c",
    "a\n\n|_b|_don't's",
    "foo,!bar|_|_baz|_é\u0301|_‿x。…$+",
    "_|_two|_|_",
    "\u200da\u200c|_b",
  ]],
  "spaces and a character of patterns": [{ "type": "Metaspace", "replacement": "^" }, [
    "^x½٣12|^²a",
    "^a|^\ufeff|^b\u0085\u0085c",
    "^a\n\n|^b|^don't's",
    "^foo,!bar__baz|^é\u0301|^‿x。…$+",
    "^|^two|^|^",
    "^\u200da\u200c|^b",
  ]],
  "a sequence": [{
    "type": "Sequence",
    "pretokenizers": [{ "type": "Digits", "individual_digits": false }, {
      "type": "ByteLevel",
      "add_prefix_space": true,
      "trim_offsets": true,
      "use_regex": true,
    }],
  }, [
    "Ġx|ĠÂ½Ù£12|Ġ|ĠÂ²|Ġa",
    "Ġa|Ġï»¿|Ġb|Âħ|Âħ|c",
    "Ġa|ĊĊ|Ġb|Ġdon|'t|'s",
    "Ġfoo|,!|bar|__|baz|ĠÃ©|Ìģ|ĠâĢ¿|x|ãĢĤâĢ¦$+",
    "Ġ|Ġtwo|ĠĠ",
    "ĠâĢį|a|âĢĮ|Ġb",
  ]],
};

for (const [kind, [pre_tokenizer, pieces]] of Object.entries(PIECES)) {
  Deno.test(`mendPreTokenizer() makes the library split as Rust does (${kind})`, () => {
    const mended = mendPreTokenizer({ pre_tokenizer }, "dir") as Steps;
    const splitter = new SequencePreTokenizer(mended);
    const found = TEXTS.map((text) => splitter.pre_tokenize_text(text, {}).join("|"));
    assertEquals(found, pieces);
  });
}

Deno.test("mendPreTokenizer() refuses what the library would do otherwise", () => {
  const refuse = (pre_tokenizer: unknown, part: string, normalizer: unknown = null) => {
    for (const whole of [pre_tokenizer, { type: "Sequence", pretokenizers: [pre_tokenizer] }]) {
      const { message } = assertThrows(
        () => mendPreTokenizer({ pre_tokenizer: whole, normalizer }, "dir/tokenizer.json"),
        DittoError,
      );
      assertStringIncludes(message, "dir/tokenizer.json has a pre_tokenizer ");
      assertStringIncludes(message, part);
      assertStringIncludes(message, ": give token ids, without the file (--prompt-ids on the");
    }
  };
  const split = { type: "Split", pattern: { Regex: "a(b)" }, behavior: "Isolated", invert: false };
  for (const behavior of ["MergedWithPrevious", "MergedWithNext", "Contiguous", "Removed"]) {
    refuse({ ...split, behavior }, `"behavior":"${behavior}"`);
  }
  refuse({ ...split, invert: true }, '"invert":true');
  refuse({ ...split, pattern: null }, '"pattern":null');
  refuse({ type: "Metaspace", replacement: "ab" }, '"replacement":"ab"');
  refuse({ type: "Punctuation", behavior: "MergedWithNext" }, "MergedWithNext");
  for (const type of ["BertPreTokenizer", "FixedLength", "UnicodeScripts", "Magic"]) {
    refuse({ type }, `{"type":"${type}"}, which is not supported`);
  }
  refuse(7, "7, which is not supported");
  const first = { type: "Metaspace", replacement: "▁", prepend_scheme: "first" };
  const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });
  refuse(sequence({ type: "WhitespaceSplit" }, first), '"prepend_scheme":"first"');
  const beginning = { pre_tokenizer: sequence(first, { type: "WhitespaceSplit" }) };
  assertEquals(
    (mendPreTokenizer(beginning, "x") as { pretokenizers: unknown[] }).pretokenizers.length,
    3,
  );
});

Deno.test("mendPreTokenizer() leaves out a Split at spaces that the normalizer has replaced", () => {
  const pattern = { String: " " };
  const json = {
    normalizer: { type: "Replace", pattern, content: "▁" },
    pre_tokenizer: { type: "Split", pattern, behavior: "MergedWithPrevious", invert: false },
  };
  assertEquals(mendPreTokenizer(json, "dir/tokenizer.json"), {
    type: "Sequence",
    pretokenizers: [],
  });
  const backAgain = { type: "Replace", pattern: { String: "▁" }, content: " " };
  const normalizers = [json.normalizer, backAgain];
  const normalizer = { type: "Sequence", normalizers };
  assertThrows(() => mendPreTokenizer({ ...json, normalizer }, "dir"), DittoError);
});

/** A BPE model of a few merges, drawn at random; `▁` begins a token unless they may span words. */
function randomModel(random: Random, spansWords: boolean) {
  const tokens = ["▁", "a", "b", "c"];
  const merges: [string, string][] = [];
  for (let tries = 0; tries < 40; tries++) {
    const pair: [string, string] = [random.pick(tokens), random.pick(tokens)];
    const token = pair.join("");
    if (tokens.includes(token) || (!spansWords && /[^▁]▁/.test(token))) continue;
    merges.push(pair);
    tokens.push(token);
  }
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return { type: "BPE", unk_token: null, byte_fallback: false, vocab, merges };
}

Deno.test(
  "a text is split into words where no token spans two, and has the tokens of the whole",
  seeded((random) => {
    const metaspace = {
      type: "Metaspace",
      replacement: "▁",
      prepend_scheme: "first",
      split: false,
    };
    const normalizer = { type: "Replace", pattern: { String: " " }, content: "▁" };
    let [most, spanning] = [0, 0];
    for (let round = 0; round < 60; round++) {
      const spansWords = round % 2 === 1;
      const json = {
        added_tokens: [],
        normalizer,
        pre_tokenizer: random.pick([null, metaspace]),
        post_processor: null,
        decoder: { type: "Fuse" },
        model: randomModel(random, spansWords),
      };
      const whole = new Tokenizer(json, {});
      const mended = new Tokenizer({ ...json, pre_tokenizer: mendPreTokenizer(json, "x") }, {});
      for (let i = 0; i < 30; i++) {
        const length = random.below(20);
        const text = Array.from({ length }, () => random.pick([" ", " ", "a", "b", "c"])).join("");
        const { tokens } = whole.encode(text);
        assertEquals(mended.encode(text).tokens, tokens, JSON.stringify({ text, ...json }));
        most = Math.max(most, ...tokens.map((token) => token.length));
        spanning += spansWords && tokens.some((token) => /[^▁]▁/.test(token)) ? 1 : 0;
      }
    }
    assert(most > 4 && spanning > 30, `tokens of ${most}, ${spanning} spanned words: too dull`);
  }),
);

Deno.test("nothing is split into words that was none before: bytes, whole words, other ends", () => {
  const model = { type: "BPE", vocab: { "▁": 0, "a": 1, "▁a": 2 }, merges: [["▁", "a"]] };
  const steps = (change: object) =>
    mendPreTokenizer({ pre_tokenizer: null, model: { ...model, ...change } }, "x");
  const WORDS = { type: "Split", pattern: { Regex: "▁+[^▁]*|[^▁]+" } };
  const sequence = (...pretokenizers: unknown[]) => ({ type: "Sequence", pretokenizers });
  assertEquals(steps({}), sequence({ ...WORDS, behavior: "Isolated", invert: false }));
  assertEquals(steps({ ignore_merges: true }), sequence());
  assertEquals(steps({ end_of_word_suffix: "</w>" }), sequence());
  assertEquals(steps({ continuing_subword_prefix: "##" }), sequence());
  assertEquals(steps({ vocab: { "a": 0, "Ġ": 1 } }), sequence());
  assertEquals(steps({ vocab: { "▁": 0, "a": 1, "a▁": 2 } }), sequence());
});
