import type { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { addedTokens, namedTokens } from "./added_tokens.ts";
import { type Message, renderChat } from "./chat_template.ts";
import { directoryPath } from "./checkpoint.ts";
import type { MistralConfig } from "./config.ts";
import {
  type Detokenizer,
  parseDetokenizer,
  StreamDecoder,
  type TokenText,
} from "./detokenizer.ts";
import { type Encoder, makeEncoder } from "./encoder.ts";
import { DittoError, inputError, show } from "./errors.ts";
import { isObject, type JsonObject, readJson, readSmallFile } from "./json.ts";
import { mendPreTokenizer } from "./pre_tokenizer.ts";
import { followTekken, TEKKEN_SETTINGS, tokenizerOfTekken } from "./tekken.ts";

export type { Message } from "./chat_template.ts";
export type { StreamDecoder } from "./detokenizer.ts";

/** Options of {@linkcode Tokenizer.encode}. */
export interface EncodeOptions {
  /** Whether to add what the tokenizer puts around a text, usually a begin-of-sequence token. */
  readonly addSpecialTokens?: boolean;
}

/** Options of {@linkcode Tokenizer.decode} and {@linkcode Tokenizer.streamDecoder}. */
export interface DecodeOptions {
  /** Whether to leave out tokens such as `</s>`. */
  readonly skipSpecialTokens?: boolean;
}

/** Options of {@linkcode Tokenizer.applyChatTemplate}. */
export interface ChatOptions {
  /** Whether the text should end where the assistant's answer begins. */
  readonly addGenerationPrompt?: boolean;
}

/** A checkpoint's tokenizer: text to token ids and back. */
export class Tokenizer {
  readonly #tokenizer: HuggingFaceTokenizer;
  readonly #encoder: Encoder;
  readonly #detokenizer: Detokenizer;
  /** Ids of `added_tokens`: true for special ones. */
  readonly #added: ReadonlyMap<number, boolean>;
  /** Of those that are found in normalized text: what they are there, `▁<tool>` perhaps. */
  readonly #normalized: ReadonlyMap<number, string>;
  readonly #specialIds: ReadonlyMap<string, number>;
  readonly #chatTemplate: unknown;
  /** bos_token, eos_token and so on, as chat templates call them. */
  readonly #specialTokens: Readonly<Record<string, string>>;

  /** Use {@linkcode loadTokenizer}. */
  constructor(
    encoder: Encoder,
    detokenizer: Detokenizer,
    chatTemplate: unknown,
    specialTokens: Readonly<Record<string, string>>,
  ) {
    this.#encoder = encoder;
    this.#tokenizer = encoder.tokenizer;
    this.#detokenizer = detokenizer;
    const added = [...encoder.tokenizer.get_added_tokens_decoder()];
    this.#added = new Map(added.map(([id, { special }]) => [id, special]));
    const normalize = encoder.tokenizer.normalizer ?? ((text: string) => text);
    this.#normalized = new Map(
      added.filter(([, { normalized }]) => normalized)
        .map(([id, { content }]) => [id, normalize(content)]),
    );
    this.#specialIds = new Map(
      added.filter(([, { special }]) => special).map(([id, { content }]) => [content, id]),
    );
    this.#chatTemplate = chatTemplate;
    this.#specialTokens = specialTokens;
  }

  /**
   * Turns text into token ids. Names of special tokens inside the text become those tokens.
   *
   * @param options `addSpecialTokens` is true by default.
   * @throws {DittoError} If the tokenizer has no token for a part of the text.
   */
  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): number[] {
    const ids = this.#encoder.encode(text, addSpecialTokens);
    if (ids.every((id) => typeof id === "number")) return ids;
    throw inputError(
      `The tokenizer cannot encode ${show(text)}: it has neither a token for every character nor ` +
        `one for the unknown.`,
    );
  }

  /**
   * Turns token ids into text. Ids without a token (a model's vocabulary may be padded) add nothing,
   * and spaces stay as they are: there is no `clean_up_tokenization_spaces`.
   *
   * @param options `skipSpecialTokens` is true by default.
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const decoder = this.streamDecoder(options);
    return decoder.push(ids) + decoder.flush();
  }

  /**
   * Begins a text that arrives token by token.
   *
   * @param options `skipSpecialTokens` is true by default.
   */
  streamDecoder({ skipSpecialTokens = true }: DecodeOptions = {}): StreamDecoder {
    const pieceOf = (id: number): TokenText | null => {
      const token = this.#normalized.get(id) ?? this.#tokenizer.id_to_token(id);
      const special = this.#added.get(id);
      if (token === undefined || (special && skipSpecialTokens)) return null;
      return this.#detokenizer.piece(token, special !== undefined);
    };
    return new StreamDecoder(pieceOf, this.#detokenizer);
  }

  /**
   * Which tokens write the same word, whatever the space before it and in small letters or capitals, as `▁the`, `The`
   * and `the`: for each token of the model's vocabulary the least of them. What writes no word, such as spaces, a part
   * of a character or a token of `added_tokens`, is a word of its own.
   *
   * @param vocabSize The model's `vocab_size`.
   */
  words(vocabSize: number): Uint32Array<ArrayBuffer> {
    const first = new Map<string, number>();
    const utf8 = new TextDecoder();
    return Uint32Array.from({ length: vocabSize }, (_, id) => {
      const token = this.#tokenizer.id_to_token(id);
      if (token === undefined || this.#added.has(id)) return id;
      const piece = this.#detokenizer.piece(token, false);
      const text = typeof piece === "string" ? piece : utf8.decode(piece);
      const word = text.trim().toLowerCase();
      if (word === "" || word.includes("\ufffd")) return id;
      if (!first.has(word)) first.set(word, id);
      return first.get(word)!;
    });
  }

  /** The id of the special token with this name, such as `</s>`, if there is one. */
  specialToken(name: string): number | undefined {
    return this.#specialIds.get(name);
  }

  /**
   * Writes a chat as the model was trained to see it.
   *
   * @param options `addGenerationPrompt` is true by default.
   * @throws {DittoError} If the checkpoint has no chat template, or it refuses the messages.
   */
  applyChatTemplate(
    messages: readonly Message[],
    { addGenerationPrompt = true }: ChatOptions = {},
  ): string {
    return renderChat(this.#chatTemplate, messages, {
      ...this.#specialTokens,
      add_generation_prompt: addGenerationPrompt,
      // Templates that do not ask whether there are any are written for these, which transformers gives too.
      tools: null,
      documents: null,
    });
  }

  /**
   * Writes a chat and encodes it. Special tokens are those that the template writes, and no others, as in
   * transformers: most write begin-of-sequence, and models whose template does not were trained without it.
   *
   * @param options `addGenerationPrompt` is true by default.
   * @throws {DittoError} As {@linkcode applyChatTemplate} and {@linkcode encode}.
   */
  encodeChat(messages: readonly Message[], options: ChatOptions = {}): number[] {
    return this.encode(this.applyChatTemplate(messages, options), { addSpecialTokens: false });
  }
}

/**
 * Loads the tokenizer of a checkpoint directory.
 *
 * @param directory A path or a `file:` URL.
 * @param config The model's configuration, which the tokenizer must agree with.
 * @returns The tokenizer, or null if there is neither `tokenizer.json` nor `tekken.json`; see {@linkcode requireTokenizer}.
 * @throws {DittoError} If its files are invalid, or know tokens that the model does not.
 */
export async function loadTokenizer(
  directory: string | URL,
  config: Pick<MistralConfig, "vocabSize" | "bosTokenId">,
): Promise<Tokenizer | null> {
  const root = directoryPath(directory);
  const files = await readTokenizer(root);
  if (files === null) return null;
  const { json, path, settings } = files;
  checkVocabulary(json, config.vocabSize, path);
  json.pre_tokenizer = mendPreTokenizer(json, path);
  const added = addedTokens(json, settings, config.vocabSize, path);
  const detokenizer = parseDetokenizer(json.decoder);
  let encoder: Encoder;
  try {
    encoder = makeEncoder(json, added);
    encoder.encode("a", true); // some damage is seen only here
  } catch (cause) {
    throw new DittoError(
      `${path} is not a tokenizer Ditto can use: ${(cause as Error).message}.`,
      { cause },
    );
  }
  const specialTokens = namedTokens(settings);
  const bos = config.bosTokenId === null
    ? undefined
    : encoder.tokenizer.id_to_token(config.bosTokenId);
  if (bos !== undefined) specialTokens.bos_token ??= bos;

  const chatTemplate = await readChatTemplate(root, settings);
  return new Tokenizer(encoder, detokenizer, chatTemplate, specialTokens);
}

/**
 * Reads `tokenizer.json`, or else `tekken.json` as if it were one, with its settings. Where both are there, text is split
 * and begins as the second says: the first was published for some Mistral models with the pattern of Llama's (transformers
 * warns of it, and does the same where it is asked with `fix_mistral_regex`), and those that transformers makes of the
 * second put no `<s>` before a text (which mistral_common does, and so does transformers where that is installed).
 */
async function readTokenizer(
  root: string,
): Promise<{ json: unknown; path: string; settings: JsonObject } | null> {
  const settings = await readSettings(root);
  const path = `${root}/tokenizer.json`;
  const json = await readJson(path);
  const tekkenPath = `${root}/tekken.json`;
  const tekken = await readJson(tekkenPath);
  if (json !== undefined) {
    if (tekken !== undefined) followTekken(json, tekken);
    return { json, path, settings };
  }
  if (tekken === undefined) return null;
  return {
    json: tokenizerOfTekken(tekken, tekkenPath),
    path: tekkenPath,
    settings: { ...TEKKEN_SETTINGS, ...settings },
  };
}

/** Reads `tokenizer_config.json`, and what transformers reads with it. */
async function readSettings(root: string): Promise<JsonObject> {
  const settings = await readObject(`${root}/tokenizer_config.json`) ?? {};
  if ("added_tokens_decoder" in settings) return settings;
  // Old checkpoints without have the tokens, by name, in a file of their own, and in another bos_token and its like.
  const added = await readObject(`${root}/added_tokens.json`) ?? {};
  const decoder = Object.entries(added).map(([content, id]) => [id, { content }]);
  return {
    ...settings,
    ...await readObject(`${root}/special_tokens_map.json`),
    added_tokens_decoder: Object.fromEntries(decoder),
  };
}

/** Finds the chat template: a file of its own counts before the field, and a processor's is better than none. */
async function readChatTemplate(root: string, settings: JsonObject): Promise<unknown> {
  const path = `${root}/chat_template.jinja`;
  const file = await readSmallFile(path);
  if (file !== undefined) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(file);
    } catch (cause) {
      throw new DittoError(`${path} is not UTF-8: convert it, or get it anew.`, { cause });
    }
  }
  if (settings.chat_template != null) return settings.chat_template;
  return (await readObject(`${root}/chat_template.json`))?.chat_template;
}

async function readObject(path: string): Promise<JsonObject | undefined> {
  const json = await readJson(path);
  if (json === undefined) return undefined;
  if (isObject(json)) return json;
  throw new DittoError(`${path} holds ${show(json)}, not an object.`);
}

/**
 * Insists on a tokenizer where text is needed.
 *
 * @param tokenizer What {@linkcode loadTokenizer} returned for `directory`.
 * @param purpose What cannot be done without one. Default: to make tokens of text.
 * @throws {DittoError} If it is null.
 */
export function requireTokenizer(
  tokenizer: Tokenizer | null,
  directory: string | URL,
  purpose: keyof typeof PURPOSES = "encode",
): Tokenizer {
  if (tokenizer !== null) return tokenizer;
  const [cannot, instead] = PURPOSES[purpose];
  throw inputError(
    `${
      directoryPath(directory)
    } has neither tokenizer.json nor tekken.json, so ${cannot}: add one ` +
      `(of SentencePiece's tokenizer.model transformers makes a tokenizer.json, with ` +
      `AutoTokenizer.from_pretrained(…).save_pretrained(…)), or ${instead}.`,
  );
}

/** What needs a tokenizer, and what to do without one. */
const PURPOSES = {
  encode: [
    "text cannot become tokens",
    "give token ids (--prompt-ids on the command line)",
  ],
  decode: ["tokens cannot become text", "read the token ids"],
  stop: ["stop strings cannot be found", "leave them out"],
} as const;

/** Checks every id before anything is built from them; an id may lie, too. Added tokens may go beyond the model's. */
function checkVocabulary(
  json: unknown,
  vocabSize: number,
  path: string,
): asserts json is JsonObject {
  const model = isObject(json) ? json.model : undefined;
  const vocab = isObject(model) ? model.vocab : undefined;
  const added = isObject(json) ? json.added_tokens ?? [] : undefined;
  const broken = (found: unknown) => new DittoError(`${path} is not a tokenizer: it has ${found}.`);
  const checkId = (token: unknown, id: unknown) => {
    if (typeof token !== "string" || !Number.isSafeInteger(id) || (id as number) < 0) {
      throw broken(`a token ${show(token)} with the id ${show(id)}`);
    }
  };
  const check = (token: unknown, id: unknown) => {
    checkId(token, id);
    if ((id as number) >= vocabSize) {
      throw new DittoError(
        `${path} has a token ${show(token)} with the id ${id}, but config.json has ` +
          `vocab_size ${vocabSize}: the two belong to different models.`,
      );
    }
  };
  const type = isObject(model) ? model.type : undefined;
  if (type !== undefined && !["BPE", "Unigram", "WordLevel"].includes(type as string)) {
    throw broken(`a model of the type ${show(type)}`); // the library would take it for a word list
  }
  if (isObject(model) && (type ?? "BPE") === "BPE") checkMerges(model.merges, broken);
  if (!Array.isArray(added)) throw broken(`added_tokens ${show(added)}`);
  for (const token of added) checkId(token?.content, token?.id);
  if (Array.isArray(vocab)) { // Unigram: [token, score], the position is the id
    vocab.forEach((entry, id) => check(Array.isArray(entry) ? entry[0] : entry, id));
  } else if (isObject(vocab)) {
    for (const [token, id] of Object.entries(vocab)) check(token, id);
  } else {
    throw broken(`a vocabulary ${show(vocab)}`);
  }
}

/** Checks what BPE joins: pairs of tokens, each written "a b" or ["a", "b"]. The library takes anything. */
function checkMerges(merges: unknown, broken: (found: unknown) => DittoError): void {
  if (!Array.isArray(merges)) throw broken(`merges ${show(merges)}`);
  for (const merge of merges) {
    const pair = typeof merge === "string" ? merge.split(" ") : merge;
    const isPair = Array.isArray(pair) && pair.length === 2 &&
      pair.every((token) => typeof token === "string" && token !== "");
    if (!isPair) throw broken(`a merge ${show(merge)}, which is no pair of tokens`);
  }
}
