/**
 * The accept rule: which drafts of a pass the model itself would have produced.
 *
 * This is the specification of the accept kernel. Verifying a tree of drafts in one pass is due to
 * SpecInfer (Miao et al., https://arxiv.org/abs/2305.09781); since a draft is accepted only when it
 * equals the token chosen without it, greedy or sampled, the answer does not depend on the drafts.
 *
 * @module
 */

import type { Row } from "./rows.ts";

/** Why a generation is over, "nan" if a token could not be chosen; null while it is not. */
export type Stop = "eos" | "length" | "nan" | null;

/** What one verification pass adds to the answer. */
export interface Accepted {
  /** The accepted tokens, in order: drafts that were right, then one more, unless the answer ends with a draft. */
  readonly tokens: number[];
  /** The rows that chose them, row 0 first; their keys and values belong to the committed past. */
  readonly path: number[];
  /** The rows of the drafts that were right, in order. */
  readonly drafts: number[];
  /** Whether the answer ends with these tokens. */
  readonly stop: Stop;
}

/** Options of {@linkcode accept}. */
export interface AcceptOptions {
  /** Tokens that end the answer; the one that does is part of it. Default none. */
  readonly eos?: readonly number[];
  /** How many tokens the answer may still grow by. Default unlimited. */
  readonly limit?: number;
}

/**
 * Walks the tree from row 0 along the drafts that the model chose, and one token beyond them.
 *
 * Of several children with the chosen token, the one with the lowest index is taken. A row that could not choose ends the
 * walk and adds nothing.
 *
 * @param rows The rows of the pass, parents before children.
 * @param chosen For each row, the token that the model chose to follow it; null if no logit is a number.
 * @param options What ends the answer.
 * @returns As many tokens as rows on the path: `tokens[i]` is what row `path[i]` chose, and row `drafts[i]` said if there is
 * one.
 */
export function accept(
  rows: readonly Pick<Row, "token" | "parent">[],
  chosen: ArrayLike<number | null>,
  { eos = [], limit = Infinity }: AcceptOptions = {},
): Accepted {
  const tokens: number[] = [];
  const path: number[] = [];
  const drafts: number[] = [];
  const ended = (stop: Stop) => ({ tokens, path, drafts, stop });
  if (limit < 1) return ended("length");
  for (let row = 0;;) {
    const token = chosen[row]!;
    if (token === null) return ended("nan");
    tokens.push(token);
    path.push(row);
    const child = rows.findIndex((r, i) => i > row && r.parent === row && r.token === token);
    if (child > 0) drafts.push(child);
    if (eos.includes(token)) return ended("eos");
    if (tokens.length >= limit) return ended("length");
    if (child < 0) return ended(null);
    row = child;
  }
}
