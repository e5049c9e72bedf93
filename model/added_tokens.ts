import { DittoError, show } from "./errors.ts";
import { isObject, type JsonObject } from "./json.ts";
import { flatten } from "./pre_tokenizer.ts";

/** An entry of `added_tokens`: its id and content are checked, its flags are not. */
export type AddedToken = JsonObject & { readonly id: number; readonly content: string };

/** The fields of `tokenizer_config.json` that name tokens of every model, in the order they are added in. */
const NAMING = [
  ...["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"],
  "mask_token",
];

/**
 * What transformers adds to the vocabulary: `added_tokens` of `tokenizer.json`, changed and completed by
 * `added_tokens_decoder` of `tokenizer_config.json`, or else `added_tokens.json`, and by the tokens that are named in the
 * first.
 *
 * @param json The `tokenizer.json`; its ids are checked.
 * @param settings The `tokenizer_config.json`; an entry of `added_tokens_decoder` that is only a name leaves a known token as
 * it is.
 * @param vocabSize Tokens that the model has no embedding for are left out: Llama-2 was first published so,
 * with a padding token that was added for training.
 * @param path Where the first lies, for messages.
 * @throws {DittoError} If an entry makes no sense or `@huggingface/tokenizers` would do otherwise.
 */
export function addedTokens(
  json: JsonObject,
  settings: JsonObject,
  vocabSize: number,
  path: string,
): AddedToken[] {
  const listed = json.added_tokens as AddedToken[] | null | undefined ?? [];
  const tokens = new Map(listed.map((token) => [token.content, token]));
  const { vocab } = json.model as { vocab: unknown[] | Record<string, number> };
  const known = Array.isArray(vocab)
    ? new Map(vocab.map((entry, id) => [Array.isArray(entry) ? entry[0] : entry, id]))
    : new Map(Object.entries(vocab));
  const existing = (content: string) => tokens.get(content)?.id ?? known.get(content);
  const next = () =>
    [...tokens.values()].reduce((end, { id }) => Math.max(end, id + 1), known.size);
  for (const [key, token] of decoderEntries(settings, path)) {
    const id = existing(token.content) ?? key; // tokenizer.json counts, as in transformers
    if (existing(token.content) === undefined && id < vocabSize && id !== next()) {
      throw new DittoError(
        `Beside ${path}, tokenizer_config.json or added_tokens.json adds the token ${
          show(token.content)
        } with the id ${id}, and the next one is ${next()}: they belong to different models.`,
      );
    }
    tokens.set(token.content, { ...tokens.get(token.content), ...token, id });
  }
  const named = Object.values(namedTokens(settings));
  // In transformers those that are only listed stay as they are if it is known how they are.
  const listedOnly = listedTokens(settings).filter((one) => tokens.get(one)?.special === undefined);
  for (const content of [...named, ...listedOnly]) {
    const token = tokens.get(content) ?? {
      id: existing(content) ?? next(),
      content,
      normalized: false,
    };
    tokens.set(content, { ...token, special: true });
  }
  const kept = [...tokens.values()].filter(({ id }) => id < vocabSize);
  checkFlags(kept, json, path);
  return kept;
}

/** Whether a token is found in a text that has been normalized, and not before. */
export function isNormalized({ special, normalized }: AddedToken): boolean {
  return (normalized ?? !special) === true;
}

/** Refuses what `@huggingface/tokenizers` would do otherwise than Hugging Face's library in Rust. */
function checkFlags(
  tokens: readonly AddedToken[],
  { normalizer, pre_tokenizer }: JsonObject,
  path: string,
): void {
  const refuse = (token: AddedToken, found: string) =>
    new DittoError(
      `${path} has an added token ${show(token.content)} ${found}, which is not supported: give ` +
        `token ids, without the file (--prompt-ids on the command line).`,
    );
  const single = tokens.find(({ single_word }) => single_word === true);
  if (single) throw refuse(single, "with single_word");
  const first = flatten(pre_tokenizer, "pretokenizers").some((step) => {
    return isObject(step) && step.type === "Metaspace" && step.prepend_scheme === "first";
  });
  if (!first || normalizer == null) return;
  // The library would put a space after each of them.
  const normalized = tokens.find(isNormalized);
  if (normalized) {
    throw refuse(normalized, `that is normalized, beside a Metaspace with prepend_scheme "first"`);
  }
}

/** `added_tokens_decoder`, by id. */
function decoderEntries(settings: JsonObject, path: string): [number, AddedToken][] {
  const decoder = settings.added_tokens_decoder ?? {};
  const entries: [string, unknown][] = isObject(decoder)
    ? Object.entries(decoder)
    : [["", decoder]];
  return entries.map(([key, token]): [number, AddedToken] => {
    if (/^\d{1,15}$/.test(key) && isObject(token) && typeof token.content === "string") {
      return [Number(key), token as AddedToken];
    }
    throw new DittoError(
      `Beside ${path} there is in added_tokens_decoder of tokenizer_config.json, or in added_tokens.json, ` +
        `${show(key)}: ${show(token)}, which is no token: the file is damaged.`,
    );
  }).sort(([a], [b]) => a - b);
}

/**
 * The tokens that `tokenizer_config.json` names, by the names that chat templates call them: `bos_token` and its
 * like, and a model's own, such as `image_token`.
 */
export function namedTokens(settings: JsonObject): Record<string, string> {
  const { extra_special_tokens: extra } = settings;
  const own = Object.keys(settings).filter((field) => field.endsWith("_token"));
  const fields = new Set([...NAMING, ...own]);
  const named = [...fields].map((field): [string, unknown] => [field, settings[field]]);
  return Object.fromEntries(
    [...named, ...Object.entries(isObject(extra) ? extra : {})]
      .map(([field, value]) => [field, contentOf(value)])
      .filter(([, content]) => content !== null),
  );
}

/** The special tokens that `tokenizer_config.json` lists without a name. */
function listedTokens(settings: JsonObject): string[] {
  return [settings.extra_special_tokens, settings.additional_special_tokens]
    .flatMap((list) => Array.isArray(list) ? list.map(contentOf) : [])
    .filter((content) => content !== null);
}

/** What a field such as `bos_token` names: it holds a string, or an object with `content`. */
export function contentOf(value: unknown): string | null {
  const content = isObject(value) ? value.content : value;
  return typeof content === "string" ? content : null;
}
