/** The walk along accepted drafts against its specification, accept() in decode/accept.ts. */
import { assert } from "@std/assert";
import { accept } from "../../decode/accept.ts";
import type { Row } from "../../decode/rows.ts";
import { initialState, RESULT_BYTES, STOPS } from "../../decode/state.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { type Random, seeded } from "../random.ts";
import { assertSameBits, type Data, Harness, poisoned, poisonedFloats } from "./harness.ts";
import { encodeRows, randomTree, ROWS } from "./rows.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

const RING = 5;
const CONTEXT = 60;
const RESULT_WORDS = RESULT_BYTES / 4;

/** What a step finds. */
interface Case {
  rows: Row[];
  /** The token that the model chose after each row; null where no logit is a number. */
  chosen: (number | null)[];
  eos: number[];
  vocab: number;
  /** Tokens so far, and the length at which to stop. */
  length: number;
  limit: number;
  step: number;
  stop: typeof STOPS[number];
  /** Where each draft came from: place and n-gram, two words a row. */
  sources: number[];
  /** Bits of the tokens that stand in the text. */
  seen: number[];
}

function makeCase(random: Random): Case {
  // Few tokens, so that siblings are equal at times; in large vocabularies they are spread.
  const vocab = random.pick([1, 2, 33, 96, 259]);
  const known = Array.from({ length: random.between(1, 5) }, () => random.below(vocab));
  const token = () => random.pick(known);
  const rows = randomTree(random, random.pick([1, 2, 11, random.between(1, MAX_ROWS)]), token);
  const agreement = random.pick([0, 0.5, 0.9, 1]);
  const broken = random.pick([0, 0, 0.1]);
  const chosen = rows.map((_, row) => {
    if (random.chance(broken)) return null;
    const children = rows.filter(({ parent }, i) => i > 0 && parent === row);
    return children.length > 0 && random.chance(agreement) ? random.pick(children).token : token();
  });
  const length = random.between(1, CONTEXT - 1);
  const limit = Math.min(CONTEXT, length + random.pick([1, random.between(1, 8), CONTEXT]));
  const stop = random.chance(0.05) ? random.pick(STOPS.filter((stop) => stop !== null)) : null;
  return {
    // Once stopped, draft leaves no rows behind. Drafts never reach beyond the limit.
    rows: stop ? [] : rows,
    chosen,
    eos: random.chance(0.5)
      ? []
      : Array.from({ length: random.pick([1, 2, 63]) }, () => random.below(2 * vocab)),
    vocab,
    length,
    limit,
    step: random.pick([0, RING - 1, RING, random.below(1e6)]),
    stop,
    sources: rows.flatMap(() => [random.below(length), random.between(1, 15)]),
    seen: Array.from({ length: Math.ceil(vocab / 32) }, () => random.below(2 ** 32)),
  };
}

/** The best of each slice, such that each row's choice is the one it should be: [MAX_ROWS][slices]. */
function bestOf(random: Random, { rows, chosen, vocab }: Case, slices: number): Data {
  const best = poisonedFloats(MAX_ROWS * slices * 2);
  const tokens = new Uint32Array(best.buffer);
  rows.forEach((_, row) => {
    const winner = random.below(slices);
    const highest = random.float(30);
    for (let slice = 0; slice < slices; slice++) {
      const at = 2 * (row * slices + slice);
      // Of equal logits the lowest slice's is taken.
      const tie = slice >= winner && random.chance(0.3);
      best[at] = slice === winner || tie ? highest : highest - random.pick([1e-3, 1, 1e30, 3.4e38]);
      tokens[at + 1] = slice === winner ? chosen[row] ?? 0 : random.below(vocab);
      if (chosen[row] === null) best[at] = -3.4e38; // nothing but -∞ and NaN was there
    }
  });
  return best;
}

/** A case's buffers before the step. */
function buffersOf(random: Random, c: Case, slices: number) {
  const state = initialState(c.length, c.limit, c.stop);
  state[3] = c.step;
  return {
    state,
    tokens: poisoned(CONTEXT),
    rows: encodeRows(c.rows, { base: c.length - 1 }),
    best: bestOf(random, c, slices),
    sources: Uint32Array.from(c.sources),
    eos: Uint32Array.from([c.eos.length, ...c.eos, ...c.rows.map(({ token }) => token)]),
    results: poisoned(RING * RESULT_WORDS),
    seen: Uint32Array.from(c.seen),
  };
}

type Buffers = ReturnType<typeof buffersOf>;

/** What the step should make of them; the rest stays as it was. */
function specified(c: Case, before: Buffers): Buffers & { count: number } {
  const [state, tokens, rows, results, seen] = [
    before.state.slice(),
    before.tokens.slice(),
    before.rows.slice(),
    before.results.slice(),
    before.seen.slice(),
  ];
  const result = results.subarray(c.step % RING * RESULT_WORDS);
  let stop = c.stop;
  let added: readonly number[] = [];
  let drafts: readonly number[] = [];
  if (!stop) {
    const accepted = accept(c.rows, c.chosen, { eos: c.eos, limit: c.limit - c.length });
    ({ stop, tokens: added, drafts } = accepted);
    rows.set(accepted.path, ROWS.commitRow);
    rows[ROWS.commitBase] = c.length - 1;
    const reported = drafts.at(-1) ?? 1; // the last accepted draft, or else the first
    const source = c.rows.length > 1 ? c.sources.slice(2 * reported, 2 * reported + 2) : [0, 0];
    result.set([c.rows.length - 1, ...source], 2);
  }
  tokens.set(added, c.length);
  result.set(added, 6);
  for (const token of added) seen[token >> 5]! |= 1 << (token & 31);
  rows[ROWS.commitCount] = result[0] = added.length;
  result[1] = drafts.length;
  result[5] = STOPS.indexOf(stop);
  state.set(initialState(c.length + added.length, c.limit, stop));
  state[3] = c.step + 1;
  return { ...before, state, tokens, rows, results, seen, count: added.length };
}

for (const slices of [1, 2, 3, 32]) {
  Deno.test(
    `accept equals its specification on random trees (${slices} slices of the vocabulary)`,
    seeded(async (random) => {
      const kernel = harness.kernel("accept", {}, { SLICES: slices, RING });
      const cases = Array.from({ length: 500 }, () => makeCase(random));
      const runs = cases.map((c) => buffersOf(random, c, slices));
      const expected = runs.map((before, i) => specified(cases[i]!, before));
      await harness.run(
        runs.map(({ state, tokens, rows, best, sources, eos, results, seen }) => ({
          kernel,
          bindings: [state, tokens, rows, best, sources, eos, results, seen],
          workgroups: [1],
        })),
        runs.flatMap(({ state, tokens, rows, results, seen }) => [
          state,
          tokens,
          rows,
          results,
          seen,
        ]),
      );
      runs.forEach((found, i) => {
        const shown = () => Deno.inspect(cases[i], { iterableLimit: 100, breakLength: 120 });
        for (const name of ["state", "tokens", "rows", "results", "seen"] as const) {
          assertSameBits(() => `${name} after ${shown()}`, found[name], expected[i]![name]);
        }
      });
      const long = expected.filter(({ count }) => count > 3).length;
      assert(long > cases.length / 20, `only ${long} walks of more than 3 tokens`);
    }),
  );
}
