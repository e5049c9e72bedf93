/**
 * A model, ready to generate: checkpoint, tokenizer and engine on one device.
 *
 * @module
 */
import type { DeviceInfo, Gpu } from "../kernels/device.ts";
import type { Profile } from "../kernels/profile.ts";
import { MAX_ROWS } from "../kernels/stages.ts";
import type { MistralConfig } from "../model/config.ts";
import { DittoError, inputError, show } from "../model/errors.ts";
import type { MemoryNeed, PromptPrecision } from "../model/memory.ts";
import { checkSignal, givenOptions } from "../model/options.ts";
import { type Message, requireTokenizer, type Tokenizer } from "../model/tokenizer.ts";
import { AnswerText } from "./answer_text.ts";
import { type Engine, MAX_AHEAD } from "./engine.ts";
import { type GenerateOptions, Generation } from "./generation.ts";
import { flag, integer, maxNewTokensOf, samplingOf } from "./options.ts";
import {
  checkFits,
  checkIds,
  checkTokens,
  encode,
  isTokens,
  type Prompt,
  promptTokens,
} from "./prompt.ts";

/** Drafts of a pass at most, unless the caller says otherwise: the tree takes no more than pay. */
const DRAFTS = { original: 10, tree: MAX_ROWS - 1 } as const;

const OPTIONS = {
  maxNewTokens: true,
  drafter: true,
  promptLookupNumTokens: true,
  maxMatchingNgramSize: true,
  ignoreEos: true,
  stop: true,
  signal: true,
  cachePrompt: true,
  logitsDigest: true,
  replay: true,
  submissionsAhead: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  repetitionPenalty: true,
  seed: true,
} satisfies Record<keyof GenerateOptions, true>;

/** A loaded model. Dispose of it to free its GPU memory: `using model = await loadModel(…)`. */
export class LanguageModel implements Disposable, AsyncDisposable {
  /** The model's shape, from `config.json` and `generation_config.json`. */
  readonly config: MistralConfig;
  /** The device it runs on. */
  readonly device: DeviceInfo;
  /** Tokens that prompt and answer may have together. */
  readonly context: number;
  /** GPU memory it takes, in bytes. */
  readonly memory: MemoryNeed;
  /** What passes of 1, 2, … 32 rows cost relative to one row, in a short text. */
  readonly rowCosts: readonly number[];
  /** Which kernels were chosen for the device; they are equal to the bit. */
  readonly profile: Profile;
  /**
   * Drafts that a pass checks at most: 31, or fewer, even none, on a device on which passes of more rows did not give each
   * row the bits that it has alone, or took too long to try, the first time that such a model was loaded.
   */
  readonly maxDrafts: number;
  /** What prompts are multiplied in. */
  readonly promptPrecision: PromptPrecision;
  /** Milliseconds that loading took. */
  readonly loadMs: number;
  #costsAt: (length: number) => readonly number[];
  #directory: string;
  #gpu: Gpu;
  #engine: Engine;
  #tokenizer: Tokenizer | null;
  #isDisposed = false;

  /** Use `loadModel`. */
  constructor(
    parts:
      & Pick<
        LanguageModel,
        "config" | "context" | "memory" | "profile" | "maxDrafts" | "promptPrecision" | "loadMs"
      >
      & {
        /** Costs of passes in a text of so many tokens. */
        costsAt: (length: number) => readonly number[];
        directory: string;
        gpu: Gpu;
        engine: Engine;
        tokenizer: Tokenizer | null;
      },
  ) {
    this.config = parts.config;
    this.device = parts.gpu.info;
    this.context = parts.context;
    this.memory = parts.memory;
    this.rowCosts = parts.costsAt(0);
    this.profile = parts.profile;
    this.maxDrafts = parts.maxDrafts;
    this.promptPrecision = parts.promptPrecision;
    this.loadMs = parts.loadMs;
    this.#costsAt = parts.costsAt;
    this.#directory = parts.directory;
    this.#gpu = parts.gpu;
    this.#engine = parts.engine;
    this.#tokenizer = parts.tokenizer;
  }

  /** Whether the checkpoint has a tokenizer; without one prompts and answers are token ids. */
  get hasTokenizer(): boolean {
    return this.#tokenizer !== null;
  }

  /**
   * Turns text into token ids, with the special tokens that the tokenizer puts around a text (usually
   * begin-of-sequence), or a chat into the token ids of the checkpoint's chat template. Names of special tokens in either
   * become those tokens.
   *
   * @throws {DittoError} If it is neither, or the checkpoint has no tokenizer, or no chat template for a chat.
   */
  tokenize(prompt: string | readonly Message[]): number[] {
    return encode(prompt, this.#tokenizer, this.#directory);
  }

  /**
   * Turns token ids into text, special tokens left out.
   *
   * @param tokens Those that the model has no text for add none.
   * @throws {DittoError} If the checkpoint has no tokenizer, or a token is no whole number.
   */
  detokenize(tokens: readonly number[]): string {
    checkIds(tokens);
    return requireTokenizer(this.#tokenizer, this.#directory, "decode").decode(tokens);
  }

  /**
   * What each of some tokens in a row adds to their text, special tokens by their names. A character that
   * several tokens make comes with the last of them.
   *
   * @throws {DittoError} As {@linkcode detokenize}.
   */
  tokenTexts(tokens: readonly number[]): string[] {
    checkIds(tokens);
    const tokenizer = requireTokenizer(this.#tokenizer, this.#directory, "decode");
    const decoder = tokenizer.streamDecoder({ skipSpecialTokens: false });
    return Array.from(tokens, (token) => decoder.push([token]));
  }

  /**
   * Generates an answer: it begins when it is read. A model answers one prompt at a time; a generation that is read while
   * another is under way fails.
   *
   * @param prompt Text, the turns of a chat, or token ids, which are taken as they are.
   * @throws {DittoError} If the prompt has no token or does not fit the context, is text or a chat and the checkpoint has
   * no tokenizer or no chat template for it, a token id or an option is out of range, or the model was disposed of.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    if (this.#isDisposed) throw new DittoError("The model was disposed of; load it again.");
    const given = givenOptions(options, OPTIONS);
    const { vocabSize } = this.config;
    const ids = promptTokens(prompt, this.#tokenizer, this.#directory, vocabSize);
    checkFits(ids, this.context);
    const { replay, signal, drafter = "tree", stop = [] } = given;
    if (!Object.hasOwn(DRAFTS, drafter)) {
      throw inputError(
        `The option drafter is ${show(drafter)}: it must be "original" or "tree".`,
      );
    }
    checkSignal(signal);
    if (replay !== undefined) checkTokens(replay, "recorded answer", vocabSize);
    const room = Math.min(this.context - ids.length, replay?.length ?? Infinity);
    const maxNewTokens = maxNewTokensOf(given);
    const numDraft = integer(given, "promptLookupNumTokens", DRAFTS[drafter], 0, MAX_ROWS - 1);
    const before = typeof prompt === "string" || isTokens(prompt) ? ids : [];
    return new Generation(
      this.#engine,
      new AnswerText(this.#tokenizer, before, this.#stops(stop)),
      ids,
      {
        maxNewTokens: Math.min(maxNewTokens, room),
        drafter,
        numDraft: Math.min(numDraft, this.maxDrafts),
        rowCosts: this.#costsAt(ids.length),
        maxNgram: integer(given, "maxMatchingNgramSize", 3, 1, 15),
        submissionsAhead: integer(given, "submissionsAhead", 3, 1, MAX_AHEAD),
        eos: flag(given, "ignoreEos", false) ? [] : this.config.eosTokenIds,
        sampling: samplingOf(given),
        ...(replay && { replay: [...ids, ...replay.slice(0, room)] }),
        cachePrompt: flag(given, "cachePrompt", true),
        logits: flag(given, "logitsDigest", false),
        ...(signal && { signal }),
      },
    );
  }

  #stops(stop: string | readonly string[]): readonly string[] {
    const stops = Array.isArray(stop) ? [...stop] : [stop];
    if (stops.length > 0) requireTokenizer(this.#tokenizer, this.#directory, "stop");
    for (const text of stops) {
      if (typeof text !== "string" || text === "") {
        throw inputError(
          `A stop string is ${show(text)}: it must be a text of one character or more.`,
        );
      }
    }
    return stops;
  }

  /** Frees the GPU memory. Doing it twice is harmless. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#engine[Symbol.dispose]();
    this.#gpu[Symbol.dispose]();
  }

  /** Frees the GPU memory. */
  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }
}
