/**
 * A generation as its reader sees it: text in pieces as it is accepted, then what it took.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { DittoError } from "../model/errors.ts";
import type { AnswerText } from "./answer_text.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import type { SamplingOptions } from "./sampling.ts";

/** How to generate. Names follow Hugging Face transformers. */
export interface GenerateOptions extends SamplingOptions {
  /**
   * Tokens to generate at most, an integer from 0; fewer where the context ends. With 0 the prompt is read all the same.
   * Default 256.
   */
  readonly maxNewTokens?: number | undefined;
  /**
   * How drafts are found. "tree", the default: every earlier occurrence of the last tokens proposes, and the
   * proposals that are worth their cost on this device form a tree. "original": the first occurrence of the
   * longest n-gram proposes `promptLookupNumTokens` tokens (Saxena 2023), whatever they cost.
   */
  readonly drafter?: "original" | "tree" | undefined;
  /**
   * Tokens that prompt lookup drafts a pass at most, 0 to 31; 0 turns lookup off. Default 31 for the tree, which drafts
   * what pays, and 10 for the original. No more than the model's `maxDrafts`. The answer is the same to the bit whatever it is.
   */
  readonly promptLookupNumTokens?: number | undefined;
  /** The longest n-gram that the original drafter searches for, 1 to 15. Default 3. The tree takes any. */
  readonly maxMatchingNgramSize?: number | undefined;
  /** Whether to go on after an end-of-sequence token. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /**
   * Texts that end the answer, or names of special tokens, such as "<|im_end|>". Neither a stop string nor what a pass
   * made beyond it is part of the answer's text; its tokens end with the one that completed the stop string. Default none.
   */
  readonly stop?: string | readonly string[] | undefined;
  /**
   * Ends the generation early, also while nobody reads it; what was decoded by then is kept. The model is free for
   * another once {@linkcode Generation.result} is there.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether to take the keys and values that were computed for the prompt before, as far as both begin alike, such as
   * of a chat's earlier turns; those of answers do not count. Under a sliding window none are left once a text is longer
   * than the window and a chunk of a prompt, 256 or 512 tokens. The answer is the same to the bit. Default true.
   */
  readonly cachePrompt?: boolean | undefined;
  /**
   * Whether to compute {@linkcode GenerationResult.logitsDigest}, for which every token's logits are read
   * back from the GPU. Default false.
   */
  readonly logitsDigest?: boolean | undefined;
  /**
   * A recorded answer's token ids, which are taken in place of the model's own choices, for benchmarks: so the
   * real kernels run with the real pattern of acceptance on whatever weights there are. The answer is then
   * not the model's, and ends where the recorded one does; say "replay" wherever a figure comes from that. Default none.
   */
  readonly replay?: readonly number[] | undefined;
  /**
   * Submissions of up to 16 passes that may be under way at once, 1 to 8: with more, a fast GPU waits less for the
   * program, and does more in vain once an answer is over. The answer is the same to the bit. Default 3.
   */
  readonly submissionsAhead?: number | undefined;
}

/** What one pass of the model added to the answer. */
export interface Piece {
  /** Number of the pass, from 0. */
  readonly pass: number;
  /**
   * The tokens it added: the drafts that were right, then one more, unless the answer ends with a draft. None where no
   * further one could be chosen, or where an abort leaves text that was held back.
   */
  readonly tokens: readonly number[];
  /** Their text; characters that are not complete yet come with a later piece. Empty without a tokenizer. */
  readonly text: string;
  /** Drafts it verified. */
  readonly drafted: number;
  /** Those that were right and are part of the answer: so many of its tokens, from the first on. */
  readonly accepted: number;
  /**
   * Where the drafts were copied from, an index into the tokens of prompt and answer: the accepted ones, or
   * if none was, the first. 0 without drafts.
   */
  readonly source: number;
  /**
   * Tokens right before `source` that matched the end of the text (to the tree, two match that write the same word);
   * 0 without drafts, or where the tree guessed.
   */
  readonly ngram: number;
}

/**
 * Why a generation ended: "eos", an end-of-sequence token; "length", `maxNewTokens` or the end of the context; "stop", a stop
 * string; "aborted", its signal, or its reader, who left before its end.
 */
export type StopReason = "eos" | "length" | "stop" | "aborted";

/** A finished generation. */
export interface GenerationResult {
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** Of these, the ones that did not go through the model again; see {@linkcode GenerateOptions.cachePrompt}. */
  readonly cachedPromptTokens: number;
  /** The answer's token ids, an end-of-sequence token included. */
  readonly tokens: readonly number[];
  /**
   * The answer: to a chat, a text of its own; else what goes on with the prompt, the space before its first word included.
   * Empty without a tokenizer.
   */
  readonly text: string;
  /** Passes of the model after the prompt; each made a token or more. */
  readonly passes: number;
  /** Drafts that were verified. */
  readonly drafted: number;
  /**
   * Drafts that were right and are part of the answer, which an end-of-sequence token or a stop string may end in the
   * middle of a pass.
   */
  readonly accepted: number;
  /** Why it ended. */
  readonly stopReason: StopReason;
  /** What it took. */
  readonly timing: {
    /** Milliseconds of the prompt but its last token, which is the first pass's, and those cached. */
    readonly prefillMs: number;
    /** Milliseconds from there to when the last pass was known, what its reader did in between included. */
    readonly decodeMs: number;
  };
  /** Tokens divided by passes; 0 if there were none. */
  readonly tokensPerPass: number;
  /** Tokens divided by the seconds they took after the prompt; 0 if there were none. */
  readonly tokensPerSecond: number;
  /**
   * SHA-256, in hexadecimal, of the f32 logits (little-endian, vocab_size each) that chose the tokens, one
   * behind the other. Only if it was asked for.
   */
  readonly logitsDigest?: string;
}

/**
 * A running generation. Iterate over it for the pieces, or call {@linkcode Generation.result} for the
 * whole; nothing runs before one of the two. Leaving the iteration early ends the generation; who calls the iterator's
 * `next` by hand disposes of it: `await using generation = model.generate(…)`.
 */
export class Generation implements AsyncIterable<Piece>, AsyncDisposable {
  #pieces: AsyncGenerator<Piece>;
  /** Pieces that whoever iterates has not taken. */
  #untaken: Piece[] = [];
  #advancing: Promise<void> | null = null;
  #isOver = false;
  #isIterated = false;
  #result: GenerationResult | null = null;
  #failure: unknown = null;

  /** Made by `LanguageModel.generate`. */
  constructor(
    engine: Engine,
    text: AnswerText,
    prompt: readonly number[],
    options: Omit<EngineOptions, "onCached" | "onPrefilled">,
  ) {
    this.#pieces = this.#run(engine, text, prompt, options);
  }

  /**
   * The pieces of the answer, as they are accepted; all of them, even if the result is waited for meanwhile. Can be
   * iterated over once. Where the generation fails, the pieces end with what {@linkcode Generation.result} throws.
   *
   * @throws {DittoError} If it is iterated over again.
   */
  [Symbol.asyncIterator](): AsyncIterator<Piece> {
    if (this.#isIterated) {
      throw new DittoError(
        "This generation was read already; its text is in result(). Generate again for another.",
      );
    }
    this.#isIterated = true;
    return {
      next: async () => {
        while (this.#untaken.length === 0 && !this.#isOver) await this.#advance();
        const value = this.#untaken.shift();
        if (value) return { value, done: false };
        if (this.#failure !== null) throw this.#failure;
        return { value: undefined, done: true };
      },
      return: async () => {
        await this[Symbol.asyncDispose]();
        this.#untaken = [];
        return { value: undefined, done: true };
      },
    };
  }

  /** Runs until the next piece is there, or there are no more, also by a failure; once for all who wait for it. */
  #advance(): Promise<void> {
    return this.#advancing ??= (async () => {
      try {
        const { value, done } = await this.#pieces.next();
        if (done) this.#isOver = true;
        else this.#untaken.push(value);
      } catch (error) {
        this.#failure ??= error;
        this.#isOver = true;
      } finally {
        this.#advancing = null;
      }
    })();
  }

  /**
   * The finished generation; what has not been read of it is run first.
   *
   * @throws {DittoError} If the model is in the middle of another generation or was disposed of, the device was lost or has
   * no memory left, the model has no number for any token, or the generation was left before it began.
   */
  async result(): Promise<GenerationResult> {
    await this.#finish();
    if (this.#result) return this.#result;
    throw this.#failure ??
      new DittoError("This generation was left before it began; it has no result.");
  }

  async #finish(): Promise<void> {
    while (!this.#isOver) await this.#advance();
  }

  /** Ends the generation, if it is not over; then the model is free for another. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pieces.return(undefined);
    this.#isOver = true;
  }

  async *#run(
    engine: Engine,
    text: AnswerText,
    prompt: readonly number[],
    options: Omit<EngineOptions, "onCached" | "onPrefilled">,
  ): AsyncGenerator<Piece> {
    let start = performance.now();
    const tokens: number[] = [];
    let cached = 0;
    let prefilled: number | null = null;
    let end = start;
    let passes = 0;
    let drafted = 0;
    let accepted = 0;
    let stopReason: StopReason = "aborted";
    const hash = options.logits ? createHash("sha256") : null;
    const onAbort = () => void this.#finish(); // also where nobody reads on: the model is to be free
    options.signal?.addEventListener("abort", onAbort);
    try {
      const run = engine.run(prompt, {
        ...options,
        onCached: (tokens) => {
          cached = tokens;
          start = performance.now();
        },
        onPrefilled: () => prefilled = performance.now(),
      });
      for await (const pass of run) {
        end = performance.now();
        const { kept, shown } = text.push(pass.tokens);
        tokens.push(...kept);
        for (const row of pass.logits?.slice(0, kept.length) ?? []) hash?.update(row);
        passes++;
        drafted += pass.drafted;
        const right = Math.min(pass.accepted, kept.length);
        accepted += right;
        const { stop } = pass;
        if (text.isStopped) stopReason = "stop";
        else if (stop !== "nan") stopReason = stop ?? stopReason;
        const whole = stop ? shown + text.end() : shown;
        if (kept.length > 0 || whole !== "") {
          yield {
            pass: pass.pass,
            tokens: kept,
            text: whole,
            drafted: pass.drafted,
            accepted: right,
            source: pass.source,
            ngram: pass.ngram,
          };
        }
        if (text.isStopped) break;
        if (stop === "nan") throw noNumbers(prompt.length + tokens.length);
      }
      if (options.maxNewTokens === 0 && !options.signal?.aborted) stopReason = "length";
      // After an abort: what might have begun a stop string, or a character, and did not.
      const rest = text.end();
      if (rest !== "") {
        const nothing = { tokens: [], drafted: 0, accepted: 0, source: 0, ngram: 0 };
        yield { pass: passes - 1, text: rest, ...nothing };
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
      text.end();
      prefilled ??= performance.now();
      const decodeMs = Math.max(0, end - prefilled);
      this.#result = this.#failure !== null ? null : {
        promptTokens: prompt.length,
        cachedPromptTokens: cached,
        tokens,
        text: text.whole,
        passes,
        drafted,
        accepted,
        stopReason,
        timing: { prefillMs: prefilled - start, decodeMs },
        tokensPerPass: passes === 0 ? 0 : tokens.length / passes,
        tokensPerSecond: decodeMs === 0 ? 0 : tokens.length / decodeMs * 1000,
        ...(hash && { logitsDigest: hash.digest("hex") }),
      };
    }
  }
}

function noNumbers(length: number): DittoError {
  return new DittoError(
    `The model has no number for any token after the first ${length} of the text, all logits are NaN or -∞. If it was ` +
      `loaded with kvCache "f32" and promptPrecision "f32" (--kv-cache f32 --prompt-precision f32 on the command line), ` +
      `its weights are damaged: get the checkpoint anew. If not, try it so: f16 holds no number beyond 65504.`,
  );
}
