/**
 * A generation as its reader sees it: text in pieces as it is accepted, then what it took.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { DittoError } from "../model/errors.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { Engine, EngineOptions } from "./engine.ts";

/** How to generate. Names follow Hugging Face transformers. */
export interface GenerateOptions {
  /** Tokens to generate at most; fewer where the context ends. Default 256. */
  readonly maxNewTokens?: number;
  /**
   * Tokens that prompt lookup drafts a pass, 0 to 31. Default 10; 0 turns lookup off. The answer is the
   * same to the bit whatever it is.
   */
  readonly promptLookupNumTokens?: number;
  /** The longest n-gram that prompt lookup searches for, 1 to 15. Default 3. */
  readonly maxMatchingNgramSize?: number;
  /** Whether to go on after an end-of-sequence token. Default false. */
  readonly ignoreEos?: boolean;
  /** Ends the generation early; what was decoded by then is kept. */
  readonly signal?: AbortSignal;
  /**
   * Whether to compute {@linkcode GenerationResult.logitsDigest}, for which every token's logits are read
   * back from the GPU. Default false.
   */
  readonly logitsDigest?: boolean;
  /** Submissions of up to 16 steps that are under way at once, 1 to 8. Does not change the answer. Default 2. */
  readonly submissionsAhead?: number;
}

/** What one pass of the model added to the answer. */
export interface Piece {
  /** Number of the pass, from 0. */
  readonly pass: number;
  /** The tokens it accepted: the drafts that were right, then one more. */
  readonly tokens: readonly number[];
  /** Their text; characters that are not complete yet come with a later piece. Empty without a tokenizer. */
  readonly text: string;
  /** Drafts it verified. */
  readonly drafted: number;
  /** Where the drafts were copied from, an index into the tokens of prompt and answer; 0 without drafts. */
  readonly source: number;
  /** Tokens right before `source` that matched the end of the text; 0 without drafts. */
  readonly ngram: number;
}

/** Why a generation ended. */
export type StopReason = "eos" | "length" | "aborted";

/** A finished generation. */
export interface GenerationResult {
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** The answer's token ids, an end-of-sequence token included. */
  readonly tokens: readonly number[];
  /** The answer. Empty without a tokenizer. */
  readonly text: string;
  /** Passes of the model after the prompt; each made one token or more. */
  readonly passes: number;
  /** Drafts that were verified. */
  readonly drafted: number;
  /** Drafts that were right. */
  readonly accepted: number;
  /** An end-of-sequence token, `maxNewTokens` or the end of the context, or an abort. */
  readonly stopReason: StopReason;
  /** Milliseconds: for the prompt but its last token, and from there to the end. */
  readonly timing: { readonly prefillMs: number; readonly decodeMs: number };
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
 * whole; nothing runs before one of the two. Leaving the iteration early ends the generation.
 */
export class Generation implements AsyncIterable<Piece> {
  #pieces: AsyncGenerator<Piece>;
  #isIterated = false;
  #result: GenerationResult | null = null;

  /** Made by `LanguageModel.generate`. */
  constructor(
    engine: Engine,
    tokenizer: Tokenizer | null,
    prompt: readonly number[],
    options: Omit<EngineOptions, "onLogits" | "onPrefilled">,
    logitsDigest: boolean,
  ) {
    this.#pieces = this.#run(engine, tokenizer, prompt, options, logitsDigest);
  }

  /**
   * The pieces of the answer, as they are accepted. Can be iterated over once.
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
    return this.#pieces;
  }

  /**
   * The finished generation; what has not been read of it is run first.
   *
   * @throws {DittoError} If the device is lost.
   */
  async result(): Promise<GenerationResult> {
    this.#isIterated = true;
    while (!(await this.#pieces.next()).done);
    if (this.#result) return this.#result;
    throw new DittoError("This generation failed or was left before it began; it has no result.");
  }

  async *#run(
    engine: Engine,
    tokenizer: Tokenizer | null,
    prompt: readonly number[],
    options: Omit<EngineOptions, "onLogits" | "onPrefilled">,
    logitsDigest: boolean,
  ): AsyncGenerator<Piece> {
    const start = performance.now();
    const tokens: number[] = [];
    let prefilled: number | null = null;
    let end = start;
    let text = "";
    let passes = 0;
    let drafted = 0;
    let stop: StopReason = "aborted";
    const decoder = tokenizer?.streamDecoder();
    const hash = logitsDigest ? createHash("sha256") : null;
    try {
      const run = engine.run(prompt, {
        ...options,
        onPrefilled: () => prefilled ??= performance.now(),
        ...(hash && { onLogits: (row) => hash.update(row) }),
      });
      for await (const pass of run) {
        end = performance.now();
        prefilled ??= end; // the first results may arrive before the news of the prompt
        tokens.push(...pass.tokens);
        passes++;
        drafted += pass.drafted;
        stop = pass.stop ?? stop;
        let piece = decoder?.push(pass.tokens) ?? "";
        if (pass.stop) piece += decoder?.flush() ?? "";
        text += piece;
        yield {
          pass: pass.pass,
          tokens: pass.tokens,
          text: piece,
          drafted: pass.drafted,
          source: pass.source,
          ngram: pass.ngram,
        };
      }
    } finally {
      if (stop === "aborted") text += decoder?.flush() ?? "";
      prefilled ??= performance.now();
      const decodeMs = Math.max(0, end - prefilled);
      this.#result = {
        promptTokens: prompt.length,
        tokens,
        text,
        passes,
        drafted,
        accepted: tokens.length - passes,
        stopReason: stop,
        timing: { prefillMs: prefilled - start, decodeMs },
        tokensPerPass: passes === 0 ? 0 : tokens.length / passes,
        tokensPerSecond: decodeMs === 0 ? 0 : tokens.length / decodeMs * 1000,
        ...(hash && { logitsDigest: hash.digest("hex") }),
      };
    }
  }
}
