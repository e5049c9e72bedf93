/**
 * Prompts, from text or chat to token ids that a model has.
 *
 * @module
 */
import { MAX_DIMENSION } from "../model/fields.ts";
import { inputError, show } from "../model/errors.ts";
import { type Message, requireTokenizer, type Tokenizer } from "../model/tokenizer.ts";

const DEFAULT_CONTEXT = 4096;
/** The largest context that can be asked for. */
export const MAX_CONTEXT = MAX_DIMENSION;

/**
 * Text, the turns of a chat, or token ids, which are taken as they are. Names of special tokens in a text, such as "</s>",
 * become those tokens, as in Hugging Face transformers: look for them in what strangers wrote.
 */
export type Prompt = string | readonly Message[] | readonly number[];

/**
 * The token ids of a prompt.
 *
 * @param directory The checkpoint's, for messages.
 * @throws {DittoError} If it is none of these, text and there is no tokenizer, a chat and there is no chat template, or
 * empty, or a token id is out of range.
 */
export function promptTokens(
  prompt: Prompt,
  tokenizer: Tokenizer | null,
  directory: string | URL,
  vocabSize: number,
): number[] {
  const ids = isTokens(prompt) ? [...prompt] : encode(prompt, tokenizer, directory);
  checkTokens(ids, "prompt", vocabSize);
  return ids;
}

/** Turns text, or a chat, into token ids. */
export function encode(
  prompt: string | readonly Message[],
  tokenizer: Tokenizer | null,
  directory: string | URL,
): number[] {
  if (typeof prompt !== "string" && !Array.isArray(prompt)) {
    throw inputError(
      `The prompt is ${show(prompt)}: it must be text, a list of messages, or a list of token ids.`,
    );
  }
  const found = requireTokenizer(tokenizer, directory, "encode");
  return typeof prompt === "string" ? found.encode(prompt) : found.encodeChat(prompt);
}

/** Refuses what is no list of whole numbers. */
export function checkIds(ids: readonly number[]): void {
  if (Array.isArray(ids) && ids.every((id) => Number.isInteger(id))) return;
  throw inputError(`The tokens are ${show(ids)}: they must be a list of token ids.`);
}

/** Refuses token ids that a model does not have, or none at all. */
export function checkTokens(ids: readonly number[], what: string, vocabSize: number): void {
  if (!Array.isArray(ids)) {
    throw inputError(`The ${what} is ${show(ids)}: it must be a list of token ids.`);
  }
  if (ids.length === 0) throw inputError(`The ${what} is empty: give at least one token.`);
  ids.forEach((id, i) => {
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw inputError(
        `Token ${i} of the ${what} is ${show(id)}: the model has tokens 0 to ${vocabSize - 1}.`,
      );
    }
  });
}

/**
 * The context to load a model with where none is asked for: 4096, doubled until prompt and answer have room. It is not
 * made to fit, so that what was measured of the model in one context serves many prompts.
 *
 * @param maxNewTokens Tokens of the answer; those beyond 4096 do not count, as many only mean "to its end".
 */
export function contextFor(
  prompt: readonly number[],
  maxNewTokens: number,
  maxPositionEmbeddings: number,
): number {
  const needed = prompt.length + Math.min(maxNewTokens, DEFAULT_CONTEXT);
  let context = DEFAULT_CONTEXT;
  while (context < needed) context *= 2;
  return Math.min(context, maxPositionEmbeddings, MAX_CONTEXT);
}

/** Refuses a prompt that leaves no room for an answer. */
export function checkFits(ids: readonly number[], context: number): void {
  if (ids.length < context) return;
  throw inputError(
    `The prompt has ${ids.length} tokens, and the context holds ${context}, answer included: ` +
      `load the model with a larger context (--context on the command line), or shorten the prompt.`,
  );
}

/** Whether a prompt is token ids, or nothing that a prompt may be. */
export function isTokens(prompt: Prompt): prompt is readonly number[] {
  return Array.isArray(prompt) && typeof prompt[0] !== "object";
}
