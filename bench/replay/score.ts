/**
 * Scores drafters on recorded answers: under greedy decoding the accepted tokens follow from the text alone,
 * so neither weights nor a device are needed.
 *
 * @module
 */
import { accept } from "../../decode/accept.ts";
import { lookup } from "../../decode/lookup.ts";
import { chain, type Row } from "../../decode/rows.ts";
import {
  type DrafterState,
  draftTree,
  INITIAL_STATE,
  type TreeOptions,
} from "../../decode/tree.ts";
import { fixedCost } from "../../decode/tree_buffers.ts";
import type { RecordedAnswer } from "./answers.ts";

/** Drafts the rows of one pass after another for one answer. */
export type Drafter = (tokens: Uint32Array, limit: number) => readonly Row[];

/** Makes a drafter for one answer, with nothing learned yet. `words`: for the tree, as in its options. */
type MakeDrafter = (
  numDraft: number,
  rowCosts: readonly number[],
  words?: ArrayLike<number>,
) => Drafter;

/** The drafters by name. */
export const DRAFTERS: Readonly<Record<"original" | "tree", MakeDrafter>> = {
  original: (promptLookupNumTokens) => (tokens, limit) => {
    const drafts = lookup(tokens, { promptLookupNumTokens })?.tokens ?? [];
    return chain(tokens.at(-1)!, drafts.slice(0, limit - tokens.length - 1));
  },
  tree: (numDraft, rowCosts, words) => treeDrafter({ numDraft, rowCosts, words }),
};

/**
 * The tree drafter for one answer.
 *
 * @param options Those of `draftTree`; costs are given in rows, not in 1024ths.
 * @param onState Called after each pass with what the drafter remembers.
 */
export function treeDrafter(
  { rowCosts, ...options }: TreeOptions & { readonly rowCosts: readonly number[] },
  onState?: (state: DrafterState, tokens: Uint32Array) => void,
): Drafter {
  const costs = rowCosts.map(fixedCost);
  let state = INITIAL_STATE;
  return (tokens, limit) => {
    const draft = draftTree(tokens, state, { ...options, rowCosts: costs, limit });
    state = draft.state;
    onState?.(state, tokens);
    return draft.rows;
  };
}

/** What a pass of 1, 2, … 32 rows costs, in passes of one row, when each further row costs `rowCost`. */
export function linearCosts(rowCost: number): number[] {
  return Array.from({ length: 32 }, (_, i) => 1 + rowCost * i);
}

/** What it took to come by an answer. */
export interface Score {
  /** Tokens that passes yielded: all but the first, which comes from the prompt. */
  readonly tokens: number;
  /** Verification passes. */
  readonly passes: number;
  /** Rows of all passes. */
  readonly rows: number;
  /** Cost of all passes, in passes of one row, so that plain decoding costs `tokens`. */
  readonly cost: number;
}

/** Decodes a recorded answer, with its tokens in place of the model's choices. */
export function replay(
  { promptIds, outputIds }: RecordedAnswer,
  drafter: Drafter,
  rowCosts: readonly number[],
): Score {
  const all = Uint32Array.from([...promptIds, ...outputIds]);
  const score = { tokens: outputIds.length - 1, passes: 0, rows: 0, cost: 0 };
  for (let length = promptIds.length + 1; length < all.length; score.passes++) {
    const rows = drafter(all.subarray(0, length), all.length);
    const chosen = rows.map(({ depth }) => all[length + depth]!);
    score.rows += rows.length;
    score.cost += rowCosts[rows.length - 1]!;
    length += accept(rows, chosen, { limit: all.length - length }).tokens.length;
  }
  return score;
}

/** The figures of a task. */
export interface TaskFigures {
  /** Over all passes, and the mean of the answers. */
  readonly tokensPerPass: { readonly total: number; readonly mean: number };
  /** Over all passes. */
  readonly rowsPerPass: number;
  /** Relative to plain decoding: over all passes, the mean and the least of the answers. */
  readonly speed: { readonly total: number; readonly mean: number; readonly min: number };
}

/** Sums up the scores of a task's answers; null if none of them needed a pass, being one token long. */
export function figures(scores: readonly Score[]): TaskFigures | null {
  const counted = scores.filter(({ passes }) => passes > 0);
  if (counted.length === 0) return null;
  const sum = (value: (score: Score) => number) =>
    counted.reduce((total, score) => total + value(score), 0);
  const tokens = sum((score) => score.tokens);
  const passes = sum((score) => score.passes);
  const speeds = counted.map((score) => score.tokens / score.cost);
  return {
    tokensPerPass: {
      total: tokens / passes,
      mean: sum((score) => score.tokens / score.passes) / counted.length,
    },
    rowsPerPass: sum((score) => score.rows) / passes,
    speed: {
      total: tokens / sum((score) => score.cost),
      mean: speeds.reduce((a, b) => a + b, 0) / speeds.length,
      min: Math.min(...speeds),
    },
  };
}

/** A score and the answer it is of. */
export interface ScoredAnswer extends Score {
  readonly answer: RecordedAnswer;
}

/** Replays all answers. */
export function scoreAnswers(
  answers: readonly RecordedAnswer[],
  makeDrafter: () => Drafter,
  rowCosts: readonly number[],
): ScoredAnswer[] {
  return answers.map((answer) => ({ ...replay(answer, makeDrafter(), rowCosts), answer }));
}

/** The figures of each task that needed a pass, in the order in which tasks first come. */
export function taskFigures(scored: readonly ScoredAnswer[]): Record<string, TaskFigures> {
  const tasks: Record<string, TaskFigures> = {};
  for (const [task, scores] of Map.groupBy(scored, ({ answer }) => answer.task)) {
    const sum = figures(scores);
    if (sum) tasks[task] = sum;
  }
  return tasks;
}
