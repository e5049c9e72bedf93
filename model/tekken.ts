import { BYTE_CHARACTERS } from "./detokenizer.ts";
import { DittoError, show } from "./errors.ts";
import type { JsonObject } from "./json.ts";

/** The special tokens of a file that lists none, as those of Mistral Nemo and Ministral 8B; from mistral_common. */
const SPECIAL_TOKENS = [
  ...["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"],
  ...["[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]"],
  ...["[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"],
  "[TOOL_CONTENT]",
];

/** Mistral's files have 1000. */
const MAX_SPECIAL_TOKENS = 100_000;

/** What `tokenizer_config.json` says of every tekken.json. */
export const TEKKEN_SETTINGS = {
  bos_token: "<s>",
  eos_token: "</s>",
  pad_token: "<pad>",
  unk_token: "<unk>",
} as const;

/**
 * Writes Mistral's own `tekken.json` as a `tokenizer.json`, as transformers' `MistralConverter` does. Text begins with
 * `<s>`, as in mistral_common.
 *
 * @param tekken The `tekken.json`: `vocab`, whose tokens are bytes in the order in which they are joined,
 * `special_tokens`, which come before them in the model's vocabulary, and `config`.
 * @param path Where it lies, for messages.
 * @throws {DittoError} If it is not what mistral_common reads.
 */
export function tokenizerOfTekken(tekken: unknown, path: string): JsonObject {
  const broken = (found: string) =>
    new DittoError(`${path} is not a tekken.json: it has ${found}.`);
  const { config, vocab, special_tokens } = Object(tekken);
  const { pattern, default_vocab_size, default_num_special_tokens } = Object(config);
  if (typeof pattern !== "string") throw broken(`the pattern ${show(pattern)}`);
  if (!Array.isArray(vocab)) throw broken(`the vocabulary ${show(vocab)}`);
  const special = specialTokens(special_tokens, default_num_special_tokens, broken);
  const count = special.length;
  const size = default_vocab_size ?? vocab.length + count;
  if (!Number.isSafeInteger(size) || size < count + 256 || size > count + vocab.length) {
    throw broken(
      `${vocab.length} tokens, ${count} special ones and default_vocab_size ${show(size)}`,
    );
  }
  const ranks = new Map<string, number>();
  for (const [rank, entry] of vocab.slice(0, size - count).entries()) {
    const token = tokenOf(entry, rank);
    if (token === null || ranks.has(token)) throw broken(`the token ${show(entry)} at ${rank}`);
    ranks.set(token, rank);
  }
  const ids = [...ranks].map(([token, rank]): [string, number] => [token, count + rank]);
  return {
    added_tokens: special.map((content, id) => ({
      ...{ id, content, special: true, normalized: false },
      ...{ single_word: false, lstrip: false, rstrip: false },
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: beginning(special.indexOf("<s>")),
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      ...{ type: "BPE", unk_token: null, fuse_unk: false, byte_fallback: false },
      ignore_merges: true,
      vocab: Object.fromEntries([...ids, ...special.map((token, id) => [token, id] as const)]),
      merges: mergesOf(ranks),
    },
  };
}

/** What puts `<s>`, which has this id, before every text. */
function beginning(id: unknown): JsonObject {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { "<s>": { id: "<s>", ids: [id], tokens: ["<s>"] } },
  };
}

/**
 * Lets a `tokenizer.json` that splits text by one pattern into pieces of bytes, as those of Mistral's newer models do,
 * split and begin text as the `tekken.json` says that lies beside it. Others stay as they are.
 */
export function followTekken(json: unknown, tekken: unknown): void {
  const { pre_tokenizer, post_processor, added_tokens } = Object(json);
  const { type, pretokenizers } = Object(pre_tokenizer);
  const { pattern } = Object(Object(tekken).config);
  if (type !== "Sequence" || !Array.isArray(pretokenizers) || typeof pattern !== "string") return;
  const [split, bytes, ...others] = pretokenizers;
  if (Object(split).type !== "Split" || Object(bytes).type !== "ByteLevel" || others.length) return;
  split.pattern = { Regex: pattern };
  const bos = Array.isArray(added_tokens) &&
    added_tokens.find((one) => Object(one).content === "<s>");
  const addsNothing = post_processor == null || Object(post_processor).type === "ByteLevel";
  if (bos && addsNothing) (json as JsonObject).post_processor = beginning(bos.id);
}

/** The special tokens, by id: those that `special_tokens` names, then as many others as the model has. */
function specialTokens(
  tokens: unknown,
  count: unknown,
  broken: (found: string) => DittoError,
): string[] {
  const listed = tokens == null ? SPECIAL_TOKENS : namesOf(tokens, broken);
  const length = Number(count ?? listed.length);
  if (!Number.isSafeInteger(length) || length < listed.length || length > MAX_SPECIAL_TOKENS) {
    throw broken(`${listed.length} special tokens and default_num_special_tokens ${show(count)}`);
  }
  const names = Array.from(
    { length },
    (_, id) => listed[id] ?? `<SPECIAL_${id}>`,
  );
  if (!names.includes("<s>")) throw broken(`no special token "<s>"`);
  const twice = names.find((name, id) => names.indexOf(name) !== id);
  if (twice !== undefined) throw broken(`the special token ${show(twice)} twice`);
  return names;
}

/** The names in `special_tokens`, by rank. */
function namesOf(tokens: unknown, broken: (found: string) => DittoError): string[] {
  if (!Array.isArray(tokens)) throw broken(`the special tokens ${show(tokens)}`);
  const names = new Map(tokens.map((token): [unknown, string] => {
    const { rank, token_str } = Object(token);
    if (typeof token_str !== "string") throw broken(`the special token ${show(token)}`);
    return [rank, token_str];
  }));
  return tokens.map((_, id) => {
    const name = names.get(id);
    if (name !== undefined) return name;
    throw broken(`${tokens.length} special tokens and none with the rank ${id}`);
  });
}

/** A token of `vocab`, each byte as the character that stands for it; null if it makes no sense there. */
function tokenOf(entry: unknown, index: number): string | null {
  const { rank, token_bytes } = Object(entry);
  if (rank !== index || typeof token_bytes !== "string" || token_bytes === "") return null;
  let bytes: string;
  try {
    bytes = atob(token_bytes);
  } catch {
    return null;
  }
  if (index < 256 && bytes !== String.fromCharCode(index)) return null;
  let token = "";
  for (let i = 0; i < bytes.length; i++) token += BYTE_CHARACTERS[bytes.charCodeAt(i)];
  return token;
}

/** Each pair of tokens that makes another one, in the order of those and then of the pairs' first tokens. */
function mergesOf(ranks: ReadonlyMap<string, number>): [string, string][] {
  const merges: [string, string][] = [];
  for (const token of ranks.keys()) {
    const pairs: [rank: number, pair: [string, string]][] = [];
    for (let split = 1; split < token.length; split++) {
      const left = token.slice(0, split);
      const rank = ranks.get(left);
      if (rank === undefined) continue;
      const right = token.slice(split);
      if (ranks.has(right)) pairs.push([rank, [left, right]]);
    }
    pairs.sort(([a], [b]) => a - b);
    for (const [, pair] of pairs) merges.push(pair);
  }
  return merges;
}
