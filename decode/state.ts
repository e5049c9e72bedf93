/**
 * The buffers in which a generation lives on the GPU, as the CPU sees them. Kept in step with
 * kernels/lib/state.wgsl and kernels/accept.wgsl.
 *
 * @module
 */
import { MAX_ROWS, SLICE } from "../kernels/stages.ts";
import type { Stop } from "./accept.ts";
import { CANDIDATES_BYTES, MEMORY_BYTES, TREE_OPTIONS_BYTES } from "./tree_buffers.ts";

/** Steps whose results are kept until the CPU has copied them. */
export const RING = 64;

/** Why a generation has stopped, as {@linkcode Stop} says, by the number that `State.stop` holds. */
export const STOPS = [null, "eos", "length", "nan"] as const;

/** What one pass did. */
export interface PassResult {
  /** Which pass it was, from 0. */
  readonly pass: number;
  /** The tokens it appended: accepted drafts, then one more, unless the answer ends before it. */
  readonly tokens: readonly number[];
  /** How many of them, from the first on, were drafts. */
  readonly accepted: number;
  /** Drafts it verified. */
  readonly drafted: number;
  /**
   * Where the continuation begins, an index into prompt and answer, from which the last draft that was accepted was
   * copied, or else the first draft; 0 without drafts.
   */
  readonly source: number;
  /** Tokens right before the source that match the end of the text, perhaps none; 0 without drafts. */
  readonly ngram: number;
  /** Whether the answer ends with it, and why. */
  readonly stop: Stop;
}

/** Bytes of `State`. */
const STATE_BYTES = 4 * 4;

/** Words of a `Result` before its tokens. */
const HEAD_WORDS = 6;
const RESULT_WORDS = HEAD_WORDS + MAX_ROWS;
/** Bytes of a `Result`. */
export const RESULT_BYTES = RESULT_WORDS * 4;

/** End-of-sequence tokens at most. */
export const MAX_EOS = 63;

/** The buffers of a generation besides the forward pass's, in bytes. The shapes are those in the kernels. */
export function generationBuffers(
  vocabSize: number,
  context: number,
): Record<GenerationBuffer, number> {
  return {
    state: STATE_BYTES,
    tokens: context * 4,
    words: vocabSize * 4,
    textWords: context * 4,
    best: MAX_ROWS * Math.ceil(vocabSize / SLICE) * 8,
    sources: MAX_ROWS * 8,
    ends: (1 + MAX_EOS) * 4,
    results: RING * RESULT_BYTES,
    seen: Math.ceil(vocabSize / 32) * 4,
    recorded: (context + 1 + MAX_ROWS) * 4,
    treeOptions: TREE_OPTIONS_BYTES,
    treeMemory: MEMORY_BYTES,
    treeCandidates: CANDIDATES_BYTES,
    treeKeys: context * 4,
  };
}

/** Names of the buffers. */
export type GenerationBuffer =
  | "state"
  | "tokens"
  | "words"
  | "textWords"
  | "best"
  | "sources"
  | "ends"
  | "results"
  | "seen"
  | "recorded"
  | "treeOptions"
  | "treeMemory"
  | "treeCandidates"
  | "treeKeys";

/** `State` at the start of a generation, or after it. */
export function initialState(
  length: number,
  limit: number,
  stop: typeof STOPS[number] = null,
): Uint32Array<ArrayBuffer> {
  return new Uint32Array([length, limit, STOPS.indexOf(stop), 0]);
}

/**
 * Reads the results of consecutive steps.
 *
 * @param words The results, one behind the other.
 * @param firstStep The number of the first.
 * @returns Those of the steps that were passes: steps after the stop did nothing.
 */
export function parseResults(words: Uint32Array, firstStep: number): PassResult[] {
  const results: PassResult[] = [];
  for (let at = 0; at < words.length; at += RESULT_WORDS) {
    const [count = 0, accepted = 0, drafted = 0, source = 0, ngram = 0, stop = 0] = words.subarray(
      at,
      at + HEAD_WORDS,
    );
    if (count === 0 && STOPS[stop] !== "nan") break;
    results.push({
      pass: firstStep + at / RESULT_WORDS,
      tokens: [...words.subarray(at + HEAD_WORDS, at + HEAD_WORDS + count)],
      accepted,
      drafted,
      source,
      ngram,
      stop: STOPS[stop]!,
    });
    if (stop !== 0) break;
  }
  return results;
}
