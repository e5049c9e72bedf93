/**
 * Fits the probability model of the tree drafter to recorded answers: on every second pair, reporting on the
 * others what the fit is worth. Prints the tables for decode/tree_parameters.ts.
 *
 *     deno run -R tools/fit_drafter.ts --traces ../shared/traces/mistral-7b-instruct-v0.1.jsonl \
 *       --tokenizer ../shared/tokenizer
 *
 * The model is a logistic regression with an indicator for each bucket of evidence, so Newton's method finds
 * the one best fit; a small penalty keeps buckets that are seldom seen near 0. What is learned within a
 * generation is part of the model, so the tables are fitted to what it leaves over, in a few rounds.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { readAnswers, readWords, type RecordedAnswer } from "../bench/replay/answers.ts";
import {
  linearCosts,
  replay,
  scoreAnswers,
  taskFigures,
  treeDrafter,
} from "../bench/replay/score.ts";
import { bucket, type DrafterState, type Evidence, INITIAL_STATE, kindOf } from "../decode/tree.ts";
import {
  AGREEMENT_BOUNDS,
  DISTANCE_BOUNDS,
  RESUMED_BOUNDS,
  SHARE_BOUNDS,
  TREE_PARAMETERS,
  type TreeParameters,
  VOTES_BOUNDS,
} from "../decode/tree_parameters.ts";

/** Drafts are collected from replays in which each further row costs this. */
const ROW_COSTS = [0.03, 0.1];
/** The report's. */
const REPORTED_COSTS = [0, 0.03, 0.1];
const ROUNDS = 4;
/** Squared logits are penalised by half of this. */
const PENALTY = 4;

/** A draft whose parent was accepted. */
interface Example {
  /** The indicators that are 1. */
  readonly features: readonly number[];
  /** The part of the logit that was learned in the generation. */
  readonly offset: number;
  /** 1 if it was accepted, 0 if not. */
  readonly isRight: number;
}

const TABLES = [
  ["agreement", 1, AGREEMENT_BOUNDS.length + 1],
  ["resumed", RESUMED_BOUNDS.length + 1, 4],
  ["near", 1, 4],
  ["share", 2, SHARE_BOUNDS.length + 1],
  ["votes", 2, VOTES_BOUNDS.length + 1],
  ["distance", 2, DISTANCE_BOUNDS.length + 1],
] as const;
const OFFSETS: Record<string, number> = {};
let FEATURES = 0;
for (const [name, rows, size] of TABLES) {
  OFFSETS[name] = FEATURES;
  FEATURES += rows * size;
}

function featuresOf(evidence: Evidence): number[] {
  const { agreement, resumed, isNear, share, votes, distance } = evidence;
  const some = Math.min(agreement, 1);
  const at = (table: string, value: number, bounds: readonly number[]) =>
    OFFSETS[table]! + some * (bounds.length + 1) + bucket(value, bounds);
  return [
    OFFSETS.agreement! + bucket(agreement, AGREEMENT_BOUNDS),
    ...resumed > 0 ? [OFFSETS.resumed! + 4 * resumed + Math.min(agreement, 3)] : [],
    ...isNear ? [OFFSETS.near! + Math.min(agreement, 3)] : [],
    at("share", share, SHARE_BOUNDS),
    at("votes", votes, VOTES_BOUNDS),
    at("distance", distance, DISTANCE_BOUNDS),
  ];
}

/** The drafts of a pass that turned out right or wrong. */
function* judged({ grown, bias, length }: DrafterState, tokens: Uint32Array): Generator<Example> {
  let parent = 0;
  for (let at = length; at < tokens.length; at++) {
    let accepted = 0;
    for (const [i, draft] of grown.entries()) {
      if (draft.parent !== parent) continue;
      const isRight = Number(draft.token === tokens[at]);
      if (isRight) accepted = i + 1;
      const offset = bias[kindOf(draft.evidence)]! / 65536;
      yield { features: featuresOf(draft.evidence), offset, isRight };
    }
    if (accepted === 0) return;
    parent = accepted;
  }
}

/** What is recorded: answers, and the words of their tokens. */
interface Recording {
  readonly answers: readonly RecordedAnswer[];
  readonly words: Uint32Array;
}

function collect({ answers, words }: Recording, parameters: TreeParameters): Example[] {
  const examples: Example[] = [];
  for (const rowCosts of ROW_COSTS.map(linearCosts)) {
    for (const answer of answers) {
      let before = INITIAL_STATE;
      const drafter = treeDrafter({ rowCosts, words, parameters }, (state, tokens) => {
        examples.push(...judged(before, tokens));
        before = state;
      });
      replay(answer, drafter, rowCosts);
    }
  }
  return examples;
}

/** The penalised negative log-likelihood. */
function loss(examples: readonly Example[], weights: Float64Array): number {
  let sum = 0;
  for (const { features, offset, isRight } of examples) {
    let logit = offset;
    for (const f of features) logit += weights[f]!;
    sum += Math.log1p(Math.exp(-Math.abs(logit))) + Math.max(0, isRight ? -logit : logit);
  }
  return sum + weights.reduce((total, w) => total + w * w * PENALTY / 2, 0);
}

/** Newton's method, with steps halved until they help. */
function fit(examples: readonly Example[]): Float64Array {
  let weights = new Float64Array(FEATURES);
  let before = loss(examples, weights);
  for (;;) {
    const gradient = weights.map((w) => -PENALTY * w);
    const hessian = Array.from({ length: FEATURES }, (_, i) => {
      const row = new Float64Array(FEATURES);
      row[i] = PENALTY;
      return row;
    });
    for (const { features, offset, isRight } of examples) {
      let logit = offset;
      for (const f of features) logit += weights[f]!;
      const p = 1 / (1 + Math.exp(-logit));
      for (const f of features) {
        gradient[f]! += isRight - p;
        for (const g of features) hessian[f]![g]! += p * (1 - p);
      }
    }
    const step = solve(hessian, gradient);
    let scale = 1;
    let next = weights;
    let after = before;
    do {
      next = weights.map((w, i) => w + scale * step[i]!);
      after = loss(examples, next);
      scale /= 2;
    } while (after > before && scale > 1e-4);
    if (before - after < 0.01) return weights;
    weights = next;
    before = after;
  }
}

/** Solves `matrix` x = `vector` for a positive definite matrix; both are overwritten. */
function solve(matrix: Float64Array[], vector: Float64Array): Float64Array {
  const n = vector.length;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const factor = matrix[j]![i]! / matrix[i]![i]!;
      for (let k = i; k < n; k++) matrix[j]![k]! -= factor * matrix[i]![k]!;
      vector[j]! -= factor * vector[i]!;
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) vector[i]! -= matrix[i]![k]! * vector[k]!;
    vector[i]! /= matrix[i]![i]!;
  }
  return vector;
}

/** The tables in 256ths. */
function tables(weights: Float64Array) {
  const table = (name: string, size: number, row = 0) => {
    const from = OFFSETS[name]! + row * size;
    return [...weights.subarray(from, from + size)].map((w) => Math.round(w * 256) + 0);
  };
  const pair = (name: string, size: number) => [table(name, size), table(name, size, 1)];
  return {
    agreement: table("agreement", AGREEMENT_BOUNDS.length + 1),
    resumed: [0, 1, 2, 3].map((row) => table("resumed", 4, row)),
    near: table("near", 4),
    share: pair("share", SHARE_BOUNDS.length + 1),
    votes: pair("votes", VOTES_BOUNDS.length + 1),
    distance: pair("distance", DISTANCE_BOUNDS.length + 1),
  };
}

function report({ answers, words }: Recording, parameters: TreeParameters): void {
  for (const cost of REPORTED_COSTS) {
    const rowCosts = linearCosts(cost);
    const tasks = taskFigures(
      scoreAnswers(answers, () => treeDrafter({ rowCosts, words, parameters }), rowCosts),
    );
    const line = Object.entries(tasks).map(([task, { tokensPerPass, speed }]) =>
      cost === 0
        ? `${task} ${tokensPerPass.total.toFixed(3)}`
        : `${task} ${speed.total.toFixed(3)} (least ${speed.min.toFixed(2)})`
    );
    console.error(`${cost === 0 ? "tokens per pass" : `speed at ${cost}`}: ${line.join(", ")}`);
  }
}

/** Fits the tables to a recording, starting from those in use. */
function fitParameters(
  recording: Recording,
  start: TreeParameters = TREE_PARAMETERS,
): TreeParameters {
  let parameters = start;
  for (let round = 0; round < ROUNDS; round++) {
    parameters = { ...parameters, ...tables(fit(collect(recording, parameters))) };
  }
  return parameters;
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, { string: ["traces", "tokenizer"] });
  if (!flags.traces || !flags.tokenizer) {
    console.error("--traces FILE and --tokenizer DIR are needed, as bench/replay.ts reads them.");
    Deno.exit(2);
  }
  const answers = await readAnswers(flags.traces);
  const words = await readWords(flags.tokenizer, answers);
  // In pairs, since both turns of a chat stand one behind the other.
  const halves = [0, 1].map((half) => ({
    answers: answers.filter((_, i) => (i >> 1) % 2 === half),
    words,
  }));
  const parameters = fitParameters(halves[0]!);
  console.error("On the answers that were fitted:");
  report(halves[0]!, parameters);
  console.error("On the others:");
  report(halves[1]!, parameters);
  console.log(JSON.stringify(parameters, null, 2).replace(/\n\s+(?=-?\d|\])/g, " "));
}

if (import.meta.main) await main();
