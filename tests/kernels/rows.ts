/**
 * The rows of a pass as kernels/lib/rows.wgsl lays them out, and random trees of them.
 *
 * @module
 */
import type { Row } from "../../decode/rows.ts";
import { chain } from "../../decode/rows.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import type { Random } from "../random.ts";
import { poisoned } from "./harness.ts";

/** Words at which the fields of `Rows` begin. */
export const ROWS = {
  count: 0,
  token: 1,
  parent: 1 + MAX_ROWS,
  depth: 1 + 2 * MAX_ROWS,
  base: 1 + 3 * MAX_ROWS,
  half: 2 + 3 * MAX_ROWS,
  commitCount: 3 + 3 * MAX_ROWS,
  commitBase: 4 + 3 * MAX_ROWS,
  commitRow: 5 + 3 * MAX_ROWS,
  words: 5 + 4 * MAX_ROWS,
} as const;

/** What a pass is about, apart from its rows. */
export interface PassFields {
  base?: number;
  half?: number;
  commitBase?: number;
  /** Rows of the pass before that are kept. */
  commitRows?: readonly number[];
}

/** `Rows`; everything that a kernel must not look at is poison. */
export function encodeRows(
  rows: readonly Pick<Row, "token" | "parent" | "depth">[],
  { base = 0, half = 0, commitBase, commitRows = [] }: PassFields = {},
): Uint32Array<ArrayBuffer> {
  const words = poisoned(ROWS.words);
  words[ROWS.count] = rows.length;
  rows.forEach((row, i) => {
    words[ROWS.token + i] = row.token;
    words[ROWS.parent + i] = row.parent;
    words[ROWS.depth + i] = row.depth;
  });
  words[ROWS.base] = base;
  words[ROWS.half] = half;
  words[ROWS.commitCount] = commitRows.length;
  if (commitBase !== undefined) words[ROWS.commitBase] = commitBase;
  words.set(commitRows, ROWS.commitRow);
  return words;
}

/** A random tree of `count` rows, at times a chain; tokens are drawn by `token`. */
export function randomTree(random: Random, count: number, token: () => number): Row[] {
  if (random.chance(0.25)) return chain(token(), Array.from({ length: count - 1 }, token));
  const rows: Row[] = [{ token: token(), parent: 0, depth: 0 }];
  const reach = random.between(1, count); // small: deep trees; large: bushy ones
  for (let i = 1; i < count; i++) {
    const parent = random.between(Math.max(0, i - reach), i - 1);
    rows.push({ token: token(), parent, depth: rows[parent]!.depth + 1 });
  }
  return rows;
}

/**
 * Some of a tree's rows, ancestors among them, in another order in which parents come first: the smaller
 * tree, and for each of its rows the number it had.
 */
export function partOf(
  random: Random,
  rows: readonly Row[],
  count: number,
): { part: Row[]; from: number[] } {
  const from = [0];
  while (from.length < count) {
    const next = rows.flatMap(({ parent }, row) =>
      from.includes(parent) && !from.includes(row) ? [row] : []
    );
    from.push(random.pick(next));
  }
  const part = from.map((row) => ({ ...rows[row]!, parent: from.indexOf(rows[row]!.parent) }));
  return { part, from };
}

/** The rows from row 0 to `row`. */
export function pathTo(rows: readonly Row[], row: number): number[] {
  const path = [row];
  while (path[0] !== 0) path.unshift(rows[path[0]!]!.parent);
  return path;
}
