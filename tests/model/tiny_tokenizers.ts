const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

const SPECIAL = ["<unk>", "<s>", "</s>"];

const BEGIN = {
  type: "TemplateProcessing",
  single: [
    { SpecialToken: { id: "<s>", type_id: 0 } },
    { Sequence: { id: "A", type_id: 0 } },
  ],
  pair: [],
  special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
};

/** Numbers tokens from 0. */
function vocabulary(...tokens: string[]): Record<string, number> {
  return Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
}

const hex = (byte: number) => byte.toString(16).toUpperCase().padStart(2, "0");
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/** A `tokenizer.json` as Mistral's first ones: BPE over characters, other bytes as `<0x0A>`. */
export const SENTENCEPIECE = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: SPECIAL.map((content, id) => special(id, content)),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  post_processor: BEGIN,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    vocab: vocabulary(
      ...SPECIAL,
      ...BYTES.map((byte) => `<0x${hex(byte)}>`),
      ...["▁", "a", "b", "é", "▁a", "▁▁", "日", "U", ":", "A", "U:", "A:"],
    ),
    merges: ["▁ a", "▁ ▁", "U :", "A :"],
  },
};

/** GPT-2's way to write a byte as a printable character. */
function printable(byte: number): string {
  const hidden = BYTES.filter((b) => b < 33 || (b > 126 && b < 161) || b === 173);
  return String.fromCharCode(hidden.includes(byte) ? 256 + hidden.indexOf(byte) : byte);
}

/** A `tokenizer.json` as Nemo's: BPE over bytes, each written as a printable character. */
export const BYTE_LEVEL = {
  ...SENTENCEPIECE,
  normalizer: null,
  pre_tokenizer: {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: true,
  },
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    ...SENTENCEPIECE.model,
    unk_token: null,
    byte_fallback: false,
    vocab: vocabulary(...SPECIAL, ...BYTES.map(printable), "Ġa", "æĹ"),
    merges: ["Ġ a", "æ Ĺ"],
  },
};

/** As Mistral-7B-v0.3's: the space in front comes from the pre-tokenizer, not the normalizer. */
export const METASPACE = {
  ...SENTENCEPIECE,
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
};

/** As Nemo's: a regular expression splits the text before the bytes are taken. */
export const SPLIT_BYTE_LEVEL = {
  ...BYTE_LEVEL,
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        pattern: {
          Regex:
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|" +
            "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        },
        behavior: "Isolated",
        invert: false,
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
};
