/**
 * The tree drafter's buffers on the GPU. Kept in step with kernels/lib/tree.wgsl.
 *
 * @module
 */
import { MAX_ROWS } from "../kernels/stages.ts";
import { CANDIDATES, KINDS, leastReach, LOGISTIC } from "./tree.ts";
import {
  AGREEMENT_BOUNDS,
  DISTANCE_BOUNDS,
  INITIAL_BIAS,
  RESUMED_BOUNDS,
  SHARE_BOUNDS,
  TREE_PARAMETERS,
  type TreeParameters,
  VOTES_BOUNDS,
} from "./tree_parameters.ts";

const GROWN_WORDS = 5;
const MAX_DRAFTS = MAX_ROWS - 1;

/** Bytes of `Memory`. */
export const MEMORY_BYTES = 4 * (2 + KINDS + 1 + MAX_DRAFTS * GROWN_WORDS);
/** `Memory` at the start of a generation. */
export function initialMemory(): Int32Array<ArrayBuffer> {
  const memory = new Int32Array(MEMORY_BYTES / 4);
  memory.set(INITIAL_BIAS, 2);
  return memory;
}

/** What stands for each token in a vocabulary of which nothing else is known: itself. */
export function ownWords(vocabSize: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: vocabSize }, (_, token) => token);
}

/** Bytes of `Candidates`. */
export const CANDIDATES_BYTES = 4 * (1 + CANDIDATES);

/**
 * `TreeOptions`.
 *
 * @param numDraft Drafts of a pass at most, 0 to 31.
 * @param rowCosts What passes of 1, 2, … 32 rows cost relative to one row.
 */
export function treeOptions(
  numDraft: number,
  rowCosts: readonly number[],
  parameters: TreeParameters = TREE_PARAMETERS,
): Int32Array<ArrayBuffer> {
  const costs = rowCosts.map(fixedCost);
  return Int32Array.from([
    numDraft,
    leastReach(costs, parameters),
    ...costs,
    ...parameters.weights,
    ...parameters.agreement,
    ...parameters.resumed.flat(),
    ...parameters.near,
    ...parameters.share.flat(),
    ...parameters.votes.flat(),
    ...parameters.distance.flat(),
    ...parameters.rate,
    parameters.aroundTokens,
    parameters.aroundCost,
    ...AGREEMENT_BOUNDS,
    ...RESUMED_BOUNDS,
    ...SHARE_BOUNDS,
    ...VOTES_BOUNDS,
    ...DISTANCE_BOUNDS,
    ...LOGISTIC,
  ]);
}

/** A cost in 1024ths, below 64. */
export function fixedCost(cost: number): number {
  return Math.min(Math.round(1024 * cost), 64 * 1024 - 1);
}

/** Bytes of `TreeOptions`. */
export const TREE_OPTIONS_BYTES = treeOptions(0, new Array(MAX_ROWS).fill(1)).byteLength;
