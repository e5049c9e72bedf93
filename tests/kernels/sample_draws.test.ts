/**
 * What the sampler draws: of the tokens that top-k, top-p and min-p leave, the one that is the best with its noise, which
 * is a function of seed, position and token. (tests/decode/sampling.test.ts: that this follows the softmax.)
 */
import { assert, assertEquals } from "@std/assert";
import { chain } from "../../decode/rows.ts";
import { GREEDY, type Sampling, samplingUniform, seenTokens } from "../../decode/sampling.ts";
import { mostSamplers } from "../../kernels/compiler.ts";
import { MAX_ROWS, SLICE } from "../../kernels/stages.ts";
import { probabilities } from "../decode/draws.ts";
import { type Random, seeded } from "../random.ts";
import { assertSameBits, bits, Harness, poisonedFloats } from "./harness.ts";
import { gumbel, pcg3d, unPcg3d } from "./noise.ts";
import { U } from "./numbers.ts";
import { encodeRows, pathTo, randomTree } from "./rows.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** Threads of a workgroup: a GPU's, where the device at hand has as many. */
const SAMPLERS = new Set([256, mostSamplers(harness.gpu.device.limits)]);

Deno.test(
  "sample: a draw is worth its Gumbel noise, whatever the bits that seed, position and token make",
  seeded(async (random) => {
    const vocab = 1 << 16;
    const slices = Math.ceil(vocab / SLICE);
    const kernel = harness.kernel("sample", {}, { VOCAB: vocab, SLICES: slices });
    // Where an f32 cannot tell the bits from none, or from all, and where the way to the noise changes.
    const low = [0, 1, 2, 100, 127, 128, 1000, random.below(2 ** 16), random.below(2 ** 24)];
    const high = [1, 2, 127, 128, 129, 255, 256, 257, 1000].map((left) => 2 ** 32 - left);
    const middle = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 255 / 256].flatMap((v) => [
      v * 2 ** 32 - 300,
      v * 2 ** 32 + 300,
      Math.floor(v * 2 ** 32 * (1 - random.below(1000) * 1e-4)),
    ]);
    const ordinary = Array.from({ length: 12 }, () => random.below(2 ** 32));
    const draws = [...low, ...middle, ...high, ...ordinary].map((noise) => {
      let seed, position, token: number;
      do {
        [seed, position, token] = unPcg3d([noise, random.below(2 ** 32), random.below(2 ** 32)]);
      } while (token >= vocab);
      const logits = new Float32Array(vocab).fill(-Infinity);
      logits[token] = 0;
      const rows = encodeRows(chain(0, []), { base: position - 1 });
      const options = new Uint32Array(samplingUniform({ ...GREEDY, temperature: 1, seed }));
      const best = poisonedFloats(slices * 2);
      const bindings = [rows, logits, best, seenTokens([], vocab), options];
      return { kernel, bindings, workgroups: [1] as const, seed, position, token, noise, best };
    });
    await harness.run(draws, draws.map(({ best }) => best));
    for (const { seed, position, token, noise, best } of draws) {
      const what = `Seed ${seed}, position ${position} and token ${token} make ${noise}`;
      assertEquals(pcg3d([seed, position, token])[0], noise, what);
      assertEquals(bits(best)[1], token, `${what}: another token was drawn`);
      const [least, most] = gumbel(noise);
      const worth = best[0]!;
      assert(worth >= least && worth <= most, `${what}: ${worth} is not in [${least}, ${most}]`);
    }
  }),
);

/** Fails unless the token that a row draws, and what it is worth, is the best of what the options leave of its logits. */
function assertDraw(
  [worth, token]: readonly [number, number],
  logits: Float32Array,
  text: readonly number[],
  position: number,
  options: Sampling,
  what: string,
): void {
  const { temperature, topP, minP, repetitionPenalty, seed } = options;
  const seen = new Set(text);
  const scores = Float64Array.from(logits, (logit, token) => {
    if (!seen.has(token)) return logit / temperature;
    return (logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty) / temperature;
  });
  // Thresholds are rounded: there are tokens that must be left, and those that may be.
  const largest = Math.max(...scores.filter(Number.isFinite).map(Math.abs));
  const slack = 1e-5 + 4 * U * largest;
  const left = (by: number) =>
    probabilities(logits, {
      ...options,
      topP: topP < 1 ? Math.min(1, topP * (1 + by)) : 1,
      minP: Math.min(1, minP * (1 - by)),
    }, text);
  const [must, may] = [left(-slack), left(slack)];
  const worths = (token: number): [least: number, most: number] => {
    const score = scores[token]!;
    const [least, most] = gumbel(pcg3d([seed, position, token])[0]);
    const rounding = U * (Math.abs(score) + 24);
    return [score + least - rounding, score + most + rounding];
  };
  const name = `${what}, at ${position} with ${Deno.inspect(options)}: token ${token} was drawn`;
  assert(may[token]! > 0, `${name}, which is left out`);
  const [least, most] = worths(token);
  assert(worth >= least && worth <= most, `${name}, worth ${worth}: not in [${least}, ${most}]`);
  const better = must.findIndex((p, other) => p > 0 && other !== token && worths(other)[0] > most);
  assert(better < 0, `${name}, worth ${worth}; ${better} is worth more, ${worths(better)[0]}`);
}

/** Draws for the rows of a tree, and holds each draw against the specification. */
async function assertDraws(
  random: Random,
  logits: readonly Float32Array<ArrayBuffer>[],
  options: Sampling,
  what: string,
): Promise<void> {
  const vocab = logits[0]!.length;
  const slices = Math.ceil(vocab / SLICE);
  const token = () => random.below(vocab);
  const rows = randomTree(random, logits.length, token);
  const base = random.below(5000);
  const text = [rows[0]!.token, token(), token()];
  const all = poisonedFloats(MAX_ROWS * vocab);
  logits.forEach((its, row) => all.set(its, row * vocab));
  const fields = encodeRows(rows, { base });
  const seen = seenTokens(text, vocab);
  const uniform = new Uint32Array(samplingUniform(options));
  // Each row alone, then all one after another.
  const jobs = [MAX_ROWS, 1].flatMap((workgroups) =>
    Array.from(SAMPLERS, (threads) => {
      const constants = { VOCAB: vocab, SLICES: slices, SAMPLERS: threads };
      const kernel = harness.kernel("sample", {}, constants);
      const best = poisonedFloats(MAX_ROWS * slices * 2);
      const bindings = [fields, all, best, seen, uniform];
      return { kernel, bindings, workgroups: [workgroups] as const, threads, best };
    })
  );
  await harness.run(jobs, jobs.map(({ best }) => best));
  const { best } = jobs[0]!;
  rows.forEach(({ depth }, row) => {
    const at = row * slices * 2;
    assertDraw(
      [best[at]!, bits(best)[at + 1]!],
      logits[row]!,
      [...text, ...pathTo(rows, row).map((r) => rows[r]!.token)],
      base + depth + 1,
      options,
      `${what}, row ${row}`,
    );
  });
  for (const { workgroups, threads, best: others } of jobs.slice(1)) {
    const name = `${what}, in ${workgroups} workgroups of ${threads} threads`;
    assertSameBits(name, others, best, slices, 2);
  }
}

for (const vocab of [53, 1025, 2 * SLICE + 77]) {
  Deno.test(
    `sample: the best of what top-k, top-p and min-p leave is drawn (vocabulary of ${vocab})`,
    seeded(async (random) => {
      for (let trial = 0; trial < 8; trial++) {
        // Powers of two, so that scores are exact whatever a division rounds like.
        const options = {
          temperature: random.pick([0.25, 0.5, 1, 2, 64]),
          topK: random.pick([0, 0, 1, 7, 1000, 1024, 1025, 3000, 2 ** 32 - 1]),
          topP: random.pick([1, 0.999, 0.95, 0.5, 0.01]),
          minP: random.pick([0, 0, 0.001, 0.05]),
          repetitionPenalty: random.pick([1, 2]),
          seed: random.below(2 ** 32),
        };
        const logits = Array.from({ length: random.between(4, 9) }, () => {
          const its = random.floats(vocab, random.pick([0.01, 1, 3, 10, 100]));
          if (random.chance(0.3)) its.forEach((v, i) => its[i] = Math.round(v * 4) / 4); // ties
          const share = random.pick([0, 0, 0.01, 0.9]); // of what is never drawn
          const some = random.below(vocab);
          return its.map((v, i) => i !== some && random.chance(share) ? -Infinity : v);
        });
        await assertDraws(random, logits, options, "Random logits");
      }
    }),
  );
}

/** Logits in random order. */
function shuffled(random: Random, logits: readonly number[]): number[] {
  return random.shuffled(logits.length).map((i) => logits[i]!);
}

/** Rows of which a part of the sampler's arithmetic makes much. */
const corners: Record<string, {
  vocab: number;
  options: Partial<Sampling>;
  /** Logits of a row. */
  logits: (random: Random, row: number, vocab: number) => ArrayLike<number>;
}> = {
  "many tokens that are less than a unit each weigh more than the likeliest": {
    vocab: 4001,
    options: { topP: 0.5 },
    logits: (random, _, vocab) => shuffled(random, [0, ...new Array(vocab - 1).fill(-7)]),
  },
  "the least top-p leaves the likeliest": {
    vocab: 54,
    options: { topP: Number.MIN_VALUE },
    logits: (random, _, vocab) => shuffled(random, [1, ...new Array(vocab - 1).fill(0)]),
  },
  "less than a unit decides what top-p leaves": {
    vocab: 54,
    options: { topP: 0.5002 },
    // They weigh 1024, 1022.98 and 0.93 units, and top-p wants 1024.36.
    logits: (random, _, vocab) =>
      shuffled(random, [0, -1e-3, -7, ...new Array(vocab - 3).fill(-Infinity)]),
  },
  "the last token that top-k leaves is a bin's last": {
    vocab: 54,
    options: { topK: 2 },
    // Bins are eight a logit.
    logits: (random, _, vocab) => shuffled(random, [0, -0.1249, ...new Array(vocab - 2).fill(-5)]),
  },
  "what top-k leaves may be far from the likeliest": {
    vocab: 600,
    options: { topK: 400, temperature: 64 },
    logits: (random, _, vocab) => random.floats(vocab, 100),
  },
  "top-p takes from more than there is room for on the list": {
    vocab: 9000,
    options: { topK: 3000, topP: 0.9 },
    logits: (random, _, vocab) => random.floats(vocab, 0.3),
  },
  "top-k wants more than there is, after rows that have more": {
    vocab: 300,
    options: { topK: 100 },
    logits: (random, row, vocab) => {
      const numbers = row % 2 === 0 ? vocab : 5;
      const logits = random.floats(vocab, 3).fill(-Infinity, numbers);
      return shuffled(random, [...logits]);
    },
  },
};

for (const [name, { vocab, options, logits }] of Object.entries(corners)) {
  Deno.test(
    `sample: ${name}`,
    seeded(async (random) => {
      const all = { ...GREEDY, temperature: 1, seed: random.below(2 ** 32), ...options };
      const rows = Array.from(
        { length: MAX_ROWS },
        (_, row) => Float32Array.from(logits(random, row, vocab)),
      );
      await assertDraws(random, rows, all, name);
    }),
  );
}
