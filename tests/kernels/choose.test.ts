/** The greedy choice: the largest logit of each slice of the vocabulary, of equals the lowest token. */
import { chain } from "../../decode/rows.ts";
import { initialState, RESULT_BYTES } from "../../decode/state.ts";
import { MAX_ROWS, SLICE } from "../../kernels/stages.ts";
import { type Random, seeded } from "../random.ts";
import { assertSameBits, bits, Harness, poisoned, poisonedFloats } from "./harness.ts";
import { encodeRows } from "./rows.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** Below every logit that counts: what choose says of a slice of nothing but -∞ and NaN. */
const LOWEST = Math.fround(-3.4e38);

/** Kinds of rows of logits, and whether they contain what a sound model never makes. */
const kinds: Record<string, (random: Random, vocab: number) => Float32Array<ArrayBuffer>> = {
  "all different": (random, vocab) =>
    Float32Array.from(random.shuffled(vocab), (n) => (n - vocab / 2) / 8),
  "ties": (random, vocab) => Float32Array.from({ length: vocab }, () => random.below(3) - 1),
  "all equal": (random, vocab) => new Float32Array(vocab).fill(random.float(1e30)),
  "both zeros": (random, vocab) => Float32Array.from({ length: vocab }, () => random.pick([0, -0])),
  "tiny": (random, vocab) =>
    Float32Array.from({ length: vocab }, () => (1 + random.below(9) * 2 ** -23) * 2 ** -100),
  "largest and smallest": (random, vocab) =>
    Float32Array.from({ length: vocab }, () => random.pick([3.4028234e38, -3.39e38])),
  "mostly -∞": (random, vocab) =>
    Float32Array.from({ length: vocab }, () => random.chance(0.01) ? random.float(9) : -Infinity),
  "mostly NaN": (random, vocab) =>
    Float32Array.from({ length: vocab }, () => random.chance(0.01) ? random.float(9) : NaN),
  "all -∞": (_, vocab) => new Float32Array(vocab).fill(-Infinity),
  "all NaN": (_, vocab) => new Float32Array(vocab).fill(NaN),
};

/** The largest of a slice: [its logit, its token]. A NaN is larger than nothing. */
function largest(logits: Float32Array, first: number): [number, number] {
  let best: [number, number] = [LOWEST, first];
  logits.subarray(first, first + SLICE).forEach((logit, i) => {
    if (logit > best[0]) best = [logit, first + i];
  });
  return best;
}

for (const vocab of [1, 96, 255, 259, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 77]) {
  Deno.test(
    `choose, accept: the largest logit, of equals the lowest token (vocabulary of ${vocab})`,
    seeded(async (random) => {
      const slices = Math.ceil(vocab / SLICE);
      const names = [...Object.keys(kinds), ...Object.keys(kinds)];
      const count = random.pick([names.length, random.between(1, names.length)]);
      const made = random.shuffled(names.length).slice(0, count).map((kind) => {
        const name = names[kind]!;
        const logits = kinds[name]!(random, vocab);
        const bests = Array.from({ length: slices }, (_, slice) => largest(logits, slice * SLICE));
        const [logit, token] = bests.reduce((a, b) => b[0] > a[0] ? b : a);
        return { name, logits, bests, chosen: logit > LOWEST ? token : null };
      });
      // A row that cannot choose ends the walk.
      made.sort((a, b) => Number(a.chosen === null) - Number(b.chosen === null));
      const answer = made.map(({ chosen }) => chosen).filter((token) => token !== null);

      const logits = poisonedFloats(MAX_ROWS * vocab);
      const expected = poisonedFloats(MAX_ROWS * slices * 2);
      for (const [row, each] of made.entries()) {
        logits.set(each.logits, row * vocab);
        for (const [slice, [logit, token]] of each.bests.entries()) {
          expected[2 * (row * slices + slice)] = logit;
          bits(expected)[2 * (row * slices + slice) + 1] = token;
        }
      }

      const choose = harness.kernel("choose", {}, { VOCAB: vocab });
      // accept says which of the slices won: rows are a chain of the chosen tokens, so all of these are accepted.
      const accept = harness.kernel("accept", {}, { SLICES: slices, RING: 1 });
      const drafts = made.slice(0, -1).map(({ chosen }) => chosen ?? 0);
      const rows = encodeRows(chain(0, drafts), { base: 0 });
      const state = initialState(1, 1 + MAX_ROWS);
      const tokens = poisoned(1 + MAX_ROWS);
      const spreads = [1, 2, 3, MAX_ROWS];
      const bests = spreads.map(() => poisonedFloats(expected.length));
      await harness.run([
        ...spreads.map((spread, i) => ({
          kernel: choose,
          bindings: [rows, logits, bests[i]!],
          workgroups: [slices, spread] as const,
        })),
        {
          kernel: accept,
          bindings: [
            state,
            tokens,
            rows,
            bests[0]!,
            new Uint32Array(2 * MAX_ROWS),
            Uint32Array.of(0),
            poisoned(RESULT_BYTES / 4),
            poisoned(Math.ceil(vocab / 32)),
          ],
          workgroups: [1],
        },
      ], [...bests, state, tokens]);
      const shown = made.map(({ name }) => name).join(", ");
      bests.forEach((best, i) => {
        const what = `Rows in ${spreads[i]} workgroups a slice, of ${shown}`;
        assertSameBits(what, best, expected, slices, 2);
      });
      const found = tokens.subarray(1, 1 + answer.length);
      assertSameBits(`The tokens of rows of ${shown}`, found, Uint32Array.from(answer));
      const stop = answer.length < count ? "nan" : answer.length === MAX_ROWS ? "length" : null;
      const after = initialState(1 + answer.length, 1 + MAX_ROWS, stop);
      after[3] = 1;
      assertSameBits(`The state after rows of ${shown}`, state, after);
    }),
  );
}
