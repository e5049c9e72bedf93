/**
 * The rows of a verification pass: a tree of drafted tokens below the last accepted one.
 *
 * A chain of drafts is a tree in which every row's parent is the row before it.
 *
 * @module
 */
import { MAX_ROWS } from "../kernels/stages.ts";

/** One row of a verification pass: a token whose successor the model is asked for. */
export interface Row {
  /** The token at this row. */
  readonly token: number;
  /** Index of the row this token follows. A parent comes before its children; row 0 names itself. */
  readonly parent: number;
  /** Number of ancestors: 0 for row 0, so a row's absolute position is row 0's plus its depth. */
  readonly depth: number;
}

/**
 * The rows that verify one guess: the last accepted token, then the drafts in a line below it.
 *
 * @param last The last accepted token, which becomes row 0.
 * @param drafts The tokens guessed to follow it; may be empty, which makes a plain step.
 * @returns `1 + drafts.length` rows.
 */
export function chain(last: number, drafts: readonly number[]): Row[] {
  return [last, ...drafts].map((token, row) => ({
    token,
    parent: Math.max(0, row - 1),
    depth: row,
  }));
}

/**
 * The words of `Rows` in kernels/lib/rows.wgsl.
 *
 * @param base Absolute position of row 0.
 * @param committed So many rows of the pass before, a chain that ends right before `base`, are to be committed. Default 0.
 */
export function rowWords(
  rows: readonly Row[],
  base: number,
  committed = 0,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(5 + 4 * MAX_ROWS);
  words[0] = rows.length;
  rows.forEach(({ token, parent, depth }, row) => {
    words[1 + row] = token;
    words[1 + MAX_ROWS + row] = parent;
    words[1 + 2 * MAX_ROWS + row] = depth;
  });
  words.set([base, committed > 0 ? 1 : 0, committed, base - committed], 1 + 3 * MAX_ROWS);
  for (let row = 0; row < committed; row++) words[5 + 3 * MAX_ROWS + row] = row;
  return words;
}
