/**
 * The sampler's rows: of the repetition penalty a row's ancestors count as text, its siblings do not, and what a row
 * draws does not depend on the rows that its workgroup draws for before, nor on the tree that it is in.
 * (sample_draws.test.ts: what is drawn; tests/decode/sampling.test.ts: how often.)
 */
import { assertEquals } from "@std/assert";
import { chain } from "../../decode/rows.ts";
import { GREEDY, type Sampling, samplingUniform, seenTokens } from "../../decode/sampling.ts";
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
        const sampling: Sampling = {
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

Deno.test(
  "sample: a row of a tree draws what a plain step at its place draws",
  seeded(async (random) => {
    const vocab = 600;
    const slices = 1;
    for (let trial = 0; trial < 8; trial++) {
      const kernel = harness.kernel("sample", {}, { VOCAB: vocab, SLICES: slices });
      const token = () => random.below(vocab);
      const rows = randomTree(random, random.between(3, MAX_ROWS), token);
      const text = [rows[0]!.token, token(), token()];
      const base = random.below(1000);
      const sampling = {
        ...GREEDY,
        temperature: random.pick([0.7, 1, 2]),
        topP: random.pick([1, 0.9]),
        // Without, rows of equal depth draw the same.
        repetitionPenalty: random.pick([1, 1.3]),
        seed: random.below(2 ** 32),
      };
      const options = new Uint32Array(samplingUniform(sampling));
      const its = random.floats(vocab, 2);
      const logits = new Float32Array(MAX_ROWS * vocab);
      for (let row = 0; row < MAX_ROWS; row++) logits.set(its, row * vocab);
      const best = poisonedFloats(MAX_ROWS * slices * 2);
      const bindings = [encodeRows(rows, { base }), logits, best, seenTokens(text, vocab), options];
      const plain = rows.map(({ token, depth }, row) => {
        const step = encodeRows(chain(token, []), { base: base + depth });
        const path = pathTo(rows, row).map((r) => rows[r]!.token);
        const best = poisonedFloats(slices * 2);
        const seen = seenTokens([...text, ...path], vocab);
        return {
          kernel,
          bindings: [step, its, best, seen, options],
          workgroups: [1],
          best,
        } as const;
      });
      const job = { kernel, bindings, workgroups: [random.pick([1, 3, MAX_ROWS])] as const };
      await harness.run([job, ...plain], [best, ...plain.map(({ best }) => best)]);
      plain.forEach(({ best: alone }, row) => {
        const what = () =>
          `Row ${row} of ${Deno.inspect(rows)} at ${base} with ${Deno.inspect(sampling)}`;
        assertSameBits(what, best.subarray(row * slices * 2, (row + 1) * slices * 2), alone, 2);
      });
    }
  }),
);

Deno.test("sample: workgroups have 1,024 threads where a device has as many, and the memory that they need", () => {
  const most = (threads: number, bytes: number) =>
    mostSamplers({
      maxComputeInvocationsPerWorkgroup: threads,
      maxComputeWorkgroupStorageSize: bytes,
    } as GPUSupportedLimits);
  assertEquals(most(1024, 32768), 1024);
  assertEquals(most(1536, 24576), 1024);
  // 22 kB, and WebGPU's least.
  assertEquals(most(1024, 22000), 256);
  assertEquals(most(1024, 16384), 256);
  assertEquals(most(1023, 32768), 256);
  assertEquals(most(256, 16384), 256);
});
