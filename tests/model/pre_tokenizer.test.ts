import { SequencePreTokenizer } from "@huggingface/tokenizers";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DittoError } from "../../model/errors.ts";
import { mendPreTokenizer } from "../../model/pre_tokenizer.ts";

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
        () => mendPreTokenizer({ pre_tokenizer: whole, normalizer }, "dir"),
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
  refuse({ type: "Punctuation", behavior: "MergedWithNext" }, "MergedWithNext");
  for (const type of ["BertPreTokenizer", "FixedLength", "UnicodeScripts", "Magic"]) {
    refuse({ type }, `{"type":"${type}"}, which is not supported`);
  }
  refuse(7, "7, which is not supported");
});

Deno.test("mendPreTokenizer() leaves out a Split at spaces that the normalizer has replaced", () => {
  const pattern = { String: " " };
  const json = {
    normalizer: { type: "Replace", pattern, content: "▁" },
    pre_tokenizer: { type: "Split", pattern, behavior: "MergedWithPrevious", invert: false },
  };
  assertEquals(mendPreTokenizer(json, "dir"), { type: "Sequence", pretokenizers: [] });
  const backAgain = { type: "Replace", pattern: { String: "▁" }, content: " " };
  const normalizers = [json.normalizer, backAgain];
  const normalizer = { type: "Sequence", normalizers };
  assertThrows(() => mendPreTokenizer({ ...json, normalizer }, "dir"), DittoError);
});
