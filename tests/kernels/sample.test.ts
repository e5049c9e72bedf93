/**
 * The sampler's rows: of the repetition penalty a row's ancestors count as text, its siblings do not, and what a row
 * draws does not depend on the rows that its workgroup draws for before. (tests/decode/sampling.test.ts: what is drawn.)
 */
import {
  GREEDY,
  type SamplingOptions,
  samplingUniform,
  seenTokens,
} from "../../decode/sampling.ts";
import { mostSamplers } from "../../kernels/compiler.ts";
import { MAX_ROWS, SLICE } from "../../kernels/stages.ts";
import { seeded } from "../random.ts";
import { assertSameBits, bits, Harness, poisonedFloats } from "./harness.ts";
import { encodeRows, pathTo, randomTree } from "./rows.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** Threads of a workgroup: a GPU's, where the device at hand has as many. */
const SAMPLERS = new Set([256, mostSamplers(harness.gpu.device.limits)]);

for (const vocab of [1, 33, 300, 2 * SLICE + 77]) {
  Deno.test(
    `sample: the penalised argmax of every row of a tree (vocabulary of ${vocab})`,
    seeded(async (random) => {
      const slices = Math.ceil(vocab / SLICE);
      const kernels = Array.from(
        SAMPLERS,
        (threads) =>
          harness.kernel("sample", {}, { VOCAB: vocab, SLICES: slices, SAMPLERS: threads }),
      );
      const cases = Array.from({ length: 12 }, () => {
        // Few tokens, so that drafts and text hold those of large logits.
        const known = Array.from({ length: 12 }, () => random.below(vocab));
        const token = () => random.pick(known);
        const rows = randomTree(random, random.pick([1, MAX_ROWS, random.between(2, 9)]), token);
        const text = [rows[0]!.token, ...Array.from({ length: random.below(4) }, token)];
        // A power of two, so that scores are exact whatever a division rounds like.
        const repetitionPenalty = random.pick([0.5, 2, 4]);
        const logits = poisonedFloats(MAX_ROWS * vocab);
        const expected = poisonedFloats(MAX_ROWS * slices * 2);
        rows.forEach((_, row) => {
          const its = random.floats(vocab, 3);
          for (const likely of known) its[likely]! += random.pick([0, 4, 5, -9]);
          if (random.chance(0.3)) its.forEach((logit, i) => its[i] = Math.round(logit)); // ties
          logits.set(its, row * vocab);
          for (const seen of new Set([...text, ...pathTo(rows, row).map((r) => rows[r]!.token)])) {
            its[seen]! *= its[seen]! > 0 ? 1 / repetitionPenalty : repetitionPenalty;
          }
          const largest = Math.max(...its) || 0; // both zeros are one
          for (let slice = 0; slice < slices; slice++) {
            expected[2 * (row * slices + slice)] = largest;
            bits(expected)[2 * (row * slices + slice) + 1] = its.indexOf(largest);
          }
        });
        const best = poisonedFloats(expected.length);
        const options = new Uint32Array(samplingUniform({ ...GREEDY, repetitionPenalty }));
        const bindings = [encodeRows(rows), logits, best, seenTokens(text, vocab), options];
        const workgroups = [random.pick([1, 3, MAX_ROWS])] as const;
        const kernel = random.pick(kernels);
        return { kernel, bindings, workgroups, rows, text, best, expected };
      });
      await harness.run(cases, cases.map(({ best }) => best));
      for (const { rows, text, best, expected } of cases) {
        const what = () => `The choices of ${Deno.inspect(rows)} after ${text}`;
        assertSameBits(what, best, expected, slices, 2);
      }
    }),
  );
}

for (const vocab of [53, 1025, 2 * SLICE + 77]) {
  Deno.test(
    `sample: rows draw the same however they are spread over workgroups and threads (vocabulary of ${vocab})`,
    seeded(async (random) => {
      const slices = Math.ceil(vocab / SLICE);
      for (let trial = 0; trial < 3; trial++) {
        const token = () => random.below(vocab);
        const rows = encodeRows(randomTree(random, random.between(5, 9), token));
        // Few tokens are within a threshold of some rows, and many of others.
        const logits = poisonedFloats(MAX_ROWS * vocab);
        for (let row = 0; row < MAX_ROWS; row++) {
          logits.set(random.floats(vocab, random.pick([0.01, 1, 30])), row * vocab);
        }
        const sampling: SamplingOptions = {
          temperature: random.pick([0.2, 1, 2]),
          topK: random.pick([0, 7, 1000, 1025, 3000]),
          topP: random.pick([1, 0.95, 0.5, 0.01]),
          minP: random.pick([0, 0.05]),
          repetitionPenalty: random.pick([1, 1.5]),
          seed: random.below(2 ** 32),
        };
        const options = new Uint32Array(samplingUniform(sampling));
        const seen = seenTokens([token(), token()], vocab);
        const spreads = [MAX_ROWS, 1, 2, 3].flatMap((workgroups) =>
          Array.from(SAMPLERS, (threads) => ({ workgroups, threads }))
        );
        const jobs = spreads.map(({ workgroups, threads }) => {
          const constants = { VOCAB: vocab, SLICES: slices, SAMPLERS: threads };
          const kernel = harness.kernel("sample", {}, constants);
          const best = poisonedFloats(MAX_ROWS * slices * 2);
          const bindings = [rows, logits, best, seen, options];
          return { kernel, bindings, workgroups: [workgroups] as const, best };
        });
        await harness.run(jobs, jobs.map(({ best }) => best));
        const [alone, ...others] = jobs;
        for (const { best, workgroups } of others) {
          const what = `Draws in ${workgroups} workgroups, of ${Deno.inspect(sampling)}`;
          assertSameBits(what, best, alone!.best, slices, 2);
        }
      }
    }),
  );
}
