/**
 * Prompt lookup: guess the next tokens by finding the last few of them earlier in the text.
 *
 * This is the specification of the drafter kernel, and the rule of `find_candidate_pred_tokens` in
 * https://github.com/apoorvumang/prompt-lookup-decoding, unchanged.
 *
 * @module
 */

/** The drafts that prompt lookup proposes, and where it found them. */
export interface LookupMatch {
  /** Position in the buffer at which the earlier occurrence of the n-gram begins. */
  readonly start: number;
  /** Size of the n-gram that matched, in tokens. */
  readonly length: number;
  /** The tokens that follow the match, always `promptLookupNumTokens` of them. */
  readonly tokens: number[];
}

/** Options of {@linkcode lookup}. */
export interface LookupOptions {
  /** The longest n-gram tried, in tokens; shorter ones are tried after it. Default 3. */
  readonly maxMatchingNgramSize?: number;
  /** How many tokens to draft. Default 10. */
  readonly promptLookupNumTokens?: number;
}

/**
 * Finds the longest n-gram at the end of `tokens` that also occurs earlier, and returns what
 * followed its first earlier occurrence.
 *
 * An occurrence counts only if `promptLookupNumTokens` tokens follow it and its continuation begins
 * before the final n-gram does. Where no occurrence of an n-gram counts, the next shorter is tried.
 *
 * @param tokens Prompt and answer so far.
 * @param options Size of the n-gram and number of drafts.
 * @returns The match and its continuation, or null when there is none.
 *
 * @example
 * ```ts
 * import { lookup } from "./lookup.ts";
 *
 * lookup([1, 2, 3, 4, 5, 1, 2], { promptLookupNumTokens: 3 });
 * // { start: 0, length: 2, tokens: [3, 4, 5] }
 * ```
 */
export function lookup(
  tokens: readonly number[] | Uint32Array,
  { maxMatchingNgramSize = 3, promptLookupNumTokens = 10 }: LookupOptions = {},
): LookupMatch | null {
  if (promptLookupNumTokens < 1) return null;
  for (let n = maxMatchingNgramSize; n >= 1; n--) {
    const ngram = tokens.length - n; // where the n-gram to look for begins
    for (let start = 0; start + n + promptLookupNumTokens <= tokens.length; start++) {
      if (start + n >= ngram) break;
      let agreeing = 0;
      while (agreeing < n && tokens[start + agreeing] === tokens[ngram + agreeing]) agreeing++;
      if (agreeing < n) continue;
      const next = start + n;
      return {
        start,
        length: n,
        tokens: Array.from(tokens.slice(next, next + promptLookupNumTokens)),
      };
    }
  }
  return null;
}
