/** The sampler's distribution: what is drawn, how often, and that draws know nothing of each other. */
import { assert, assertEquals } from "@std/assert";
import { openGpu } from "../../kernels/open_gpu.ts";
import { GREEDY, type Sampling } from "../../decode/sampling.ts";
import { type Random, seeded } from "../random.ts";
import { draw, probabilities, surprise } from "./draws.ts";

const DRAWS = 20_000;
const PASSES = Math.ceil(DRAWS / 32);
/** Standard deviations that chance does not reach: 1 in 10⁹ tests. */
const LIMIT = 6;

function makeLogits(random: Random, vocab: number, scale = 3): Float32Array<ArrayBuffer> {
  const logits = random.floats(vocab, scale);
  // A few equal ones, as rounding makes them.
  for (let i = 0; i < vocab / 8; i++) logits[random.below(vocab)] = logits[random.below(vocab)]!;
  return logits;
}

function assertFollows(draws: readonly number[], wanted: Float64Array, what: unknown): void {
  const counts = new Float64Array(wanted.length);
  for (const token of draws) counts[token]!++;
  const never = draws.find((token) => wanted[token] === 0);
  assert(never === undefined, `token ${never} was drawn, which ${Deno.inspect(what)} excludes`);
  const deviations = surprise(counts, wanted.map((p) => p * draws.length));
  assert(
    deviations < LIMIT,
    `${draws.length} draws with ${Deno.inspect(what)} are ${
      deviations.toFixed(1)
    } standard deviations ` +
      `from the softmax.\ntoken: drawn, expected\n` +
      [...counts].map((n, i) => `${i}: ${n}, ${(wanted[i]! * draws.length).toFixed(1)}`).join("\n"),
  );
}

const cases: Partial<Sampling>[] = [
  { temperature: 1 },
  { temperature: 0.3 },
  { temperature: 2.5 },
  { temperature: 1, topK: 1 },
  { temperature: 1, topK: 7 },
  { temperature: 0.7, topP: 0.8 },
  { temperature: 1, topP: 1e-6 },
  { temperature: 1, minP: 0.2 },
  { temperature: 0.9, repetitionPenalty: 1.7 },
  { temperature: 1.3, topK: 20, topP: 0.9, minP: 0.03, repetitionPenalty: 1.2 },
];

for (const options of cases) {
  Deno.test(
    `20,000 draws follow the softmax: ${JSON.stringify(options)}`,
    seeded(async (random) => {
      using gpu = await openGpu();
      const all = { ...GREEDY, ...options };
      const logits = makeLogits(random, 53);
      const text = [0, 3, 5, 50];
      const seed = random.below(2 ** 32);
      const draws = await draw(gpu, logits, all, text, new Array(PASSES).fill(seed));
      assertFollows(draws, probabilities(logits, all, text), options);
    }),
  );
}

Deno.test(
  "draws at neighbouring positions, and with neighbouring seeds, are independent",
  seeded(async (random) => {
    using gpu = await openGpu();
    const options = { ...GREEDY, temperature: 1 };
    const logits = makeLogits(random, 12, 1.5);
    const wanted = probabilities(logits, options, []);
    const seed = random.below(2 ** 31);
    const draws = await draw(gpu, logits, options, [], new Array(PASSES).fill(seed));
    const others = await draw(gpu, logits, options, [], new Array(PASSES).fill(seed + 1));
    const seeds = Array.from({ length: PASSES }, (_, i) => seed + i);
    assertFollows(await draw(gpu, logits, options, [], seeds), wanted, "a seed for each pass");
    const pairs = {
      "position and next position": draws.slice(1).map((token, i) => [draws[i]!, token]),
      "position and the second next": draws.slice(2).map((token, i) => [draws[i]!, token]),
      "seed and next seed": draws.map((token, i) => [token, others[i]!]),
    };
    for (const [name, pair] of Object.entries(pairs)) {
      const counts = new Float64Array(12 * 12);
      for (const [a, b] of pair) counts[a! * 12 + b!]!++;
      const expected = counts.map((_, i) =>
        wanted[Math.floor(i / 12)]! * wanted[i % 12]! * pair.length
      );
      const deviations = surprise(counts, expected);
      assert(deviations < LIMIT, `${name}: ${deviations.toFixed(1)} standard deviations`);
    }
  }),
);

Deno.test(
  "a vocabulary of 131,072 is cut by top-k and top-p without a sort",
  seeded(async (random) => {
    using gpu = await openGpu();
    const logits = random.floats(131_072, 4);
    const cases = [{ topK: 40 }, { topP: 0.002 }, { topK: 1000, topP: 0.05 }, { minP: 0.999 }];
    for (const options of cases) {
      const all = { ...GREEDY, temperature: 0.8, ...options };
      const draws = await draw(gpu, logits, all, [], new Array(8).fill(random.below(2 ** 32)));
      assertFollows(draws, probabilities(logits, all, []), options);
    }
  }),
);

Deno.test(
  "a position's draw depends on seed, position and token alone",
  seeded(async (random) => {
    using gpu = await openGpu();
    const logits = makeLogits(random, 300);
    const options = { ...GREEDY, temperature: 1.1, topP: 0.95 };
    const together = await draw(gpu, logits, options, [], [7, 7, 7]);
    const apart = await draw(gpu, logits, options, [], [7], 40);
    assertEquals(together.slice(40, 72), apart);
  }),
);

Deno.test(
  "with temperature 0 the penalised argmax is taken, the lowest token of equals",
  seeded(async (random) => {
    using gpu = await openGpu();
    // Few sizes, since the kernel is compiled for each.
    const sizes = [1, 2, random.between(3, 63), random.between(64, 200)];
    for (let i = 0; i < 20; i++) {
      const logits = makeLogits(random, sizes[i % sizes.length]!);
      const text = [0, ...Array.from({ length: 5 }, () => random.below(logits.length))];
      const options = { ...GREEDY, repetitionPenalty: 1.5, topK: 3, topP: 0.5 };
      const scores = logits.slice();
      for (const token of new Set(text)) {
        // As the kernel rounds: in f32.
        scores[token] = scores[token]! > 0 ? scores[token]! / 1.5 : scores[token]! * 1.5;
      }
      const best = scores.indexOf(Math.max(...scores));
      assertEquals(await draw(gpu, logits, options, text, [1]), new Array(32).fill(best));
    }
  }),
);

Deno.test(
  "what top-k, top-p and min-p exclude is never drawn, whatever the scores are like",
  seeded(async (random) => {
    using gpu = await openGpu();
    for (let trial = 0; trial < 24; trial++) {
      const vocab = random.pick([53, 1025, 9000]);
      const logits = random.floats(vocab, random.pick([0.01, 0.3, 1, 3, 10, 100]));
      const shift = random.pick([0, 5, -5, 30]);
      const step = random.pick([0, 0, 0.25]); // with ties
      logits.forEach((v, i) => logits[i] = (step ? Math.round(v / step) * step : v) + shift);
      const options: Sampling = {
        ...GREEDY,
        temperature: random.pick([0.2, 0.7, 1, 2]),
        topK: random.pick([0, 0, 7, 40, 1000, 1024, 1025, 3000]),
        topP: random.pick([1, 0.95, 0.9, 0.5, 0.01]),
        minP: random.pick([0, 0, 0.05]),
      };
      const wanted = probabilities(logits, options, []);
      // Sums and logarithms are rounded: of a threshold's neighbours the two below may be in as well.
      const out = logits.filter((_, token) => wanted[token] === 0).sort();
      const allowed = out.length > 2 ? out.at(-2)! : -Infinity;
      for (const token of await draw(gpu, logits, options, [], [trial, trial + 100])) {
        assert(
          wanted[token]! > 0 || logits[token]! >= allowed,
          `token ${token} of ${vocab} was drawn, which ${Deno.inspect(options)} excludes`,
        );
      }
    }
  }),
);

Deno.test("the specification follows transformers on an example by hand", () => {
  // softmax of ln 4, ln 3, ln 2, ln 1 is 0.4, 0.3, 0.2, 0.1
  const logits = [4, 3, 2, 1].map(Math.log);
  const cut = (options: Partial<Sampling>, text: number[] = []) =>
    [...probabilities(logits, { ...GREEDY, temperature: 1, ...options }, text)]
      .map((p) => Math.round(p * 1000) / 1000);
  assertEquals(cut({}), [0.4, 0.3, 0.2, 0.1]);
  assertEquals(cut({ topK: 2 }), [0.571, 0.429, 0, 0]);
  assertEquals(cut({ topP: 0.65 }), [0.571, 0.429, 0, 0]);
  assertEquals(cut({ topP: 0.75 }), [0.444, 0.333, 0.222, 0]);
  assertEquals(cut({ topK: 3, topP: 0.8 }), [0.444, 0.333, 0.222, 0]); // top-p counts what top-k left
  assertEquals(cut({ minP: 0.6 }), [0.571, 0.429, 0, 0]);
  assertEquals(cut({ temperature: 0.5 }), [0.533, 0.3, 0.133, 0.033]);
  assertEquals(cut({ repetitionPenalty: 2 }, [0, 0]), [0.25, 0.375, 0.25, 0.125]); // ln 4 / 2 = ln 2
});
