/** The prompt's own stages against float64; a row's bits do not depend on the chunk it is in. */
import type { WeightType } from "../../kernels/stages.ts";
import { PROMPT_PRODUCTS } from "../../kernels/stages.ts";
import { type Random, seeded } from "../random.ts";
import {
  assertSameBits,
  type Data,
  Expected,
  Harness,
  type Job,
  poisonedFloats,
} from "./harness.ts";
import { Matrix, padded, silu, siluError, sumError, U } from "./numbers.ts";
import { cut } from "./products.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** A stage over rows `from` to `to` of an input, and the array it writes, `stride` values a row. */
interface Run {
  jobs: Job[];
  out: Float32Array<ArrayBuffer>;
}

/**
 * Runs a stage over all rows and over some chunks of them, compares the whole with what is expected, and
 * the chunks with the whole.
 */
async function check(
  random: Random,
  what: string,
  rows: number,
  stride: number,
  run: (from: number, to: number) => Run,
  expected: Expected,
): Promise<void> {
  const whole = run(0, rows);
  const middle = random.below(rows);
  const edges = [[0, 1], [rows - 1, rows], [middle, middle + 1], [middle, rows], [0, middle + 1]];
  const chunks = edges.map(([from, to]) => ({ from: from!, to: to!, run: run(from!, to!) }));
  const all = [whole, ...chunks.map(({ run }) => run)];
  await harness.run(all.flatMap(({ jobs }) => jobs), all.map(({ out }) => out));
  expected.check(`${what}, ${rows} rows`, whole.out, stride);
  for (const { from, to, run } of chunks) {
    const same = whole.out.subarray(from * stride, to * stride);
    assertSameBits(`${what}, rows ${from} to ${to} beside all ${rows}`, run.out, same, stride);
  }
}

const ROWS = [1, 7, 8, 63, 64, 65, 150]; // around the sizes of tiles

Deno.test(
  "promptNormalize: RMSNorm",
  seeded(async (random) => {
    for (const hidden of [8, 36, 63, 64, 65, 520, 1003]) {
      const rows = random.pick(ROWS);
      const stride = Math.ceil(hidden / 8) * 8 + random.pick([0, 8]);
      const epsilon = random.pick([1e-5, 1e-6]);
      const scale = random.pick([1e-3, 1, 100]); // at the first, epsilon counts
      const x = poisonedFloats(rows * stride); // the padding is not to be looked at
      for (let row = 0; row < rows; row++) x.set(random.floats(hidden, scale), row * stride);
      const gain = random.floats(hidden, 2);
      const kernel = harness.kernel("promptNormalize", {}, {
        STRIDE: stride,
        HIDDEN: hidden,
        EPSILON: epsilon,
      });
      const expected = new Expected(rows * stride);
      // A thread's squares, then the threads; the root halves what they are off. Then the division, the
      // root and two products.
      const roundings = (Math.ceil(hidden / 64) + 7) / 2 + 11;
      for (let row = 0; row < rows; row++) {
        const values = x.subarray(row * stride, row * stride + hidden);
        const squares = values.reduce((sum, v) => sum + v * v, 0);
        const rms = Math.sqrt(squares / hidden + epsilon);
        values.forEach((v, i) => {
          const value = v / rms * gain[i]!;
          expected.set(row * stride + i, value, sumError(roundings, Math.abs(value)));
        });
      }
      const run = (from: number, to: number) => {
        const out = poisonedFloats((to - from) * stride);
        const chunk = x.slice(from * stride, to * stride);
        const jobs: Job[] = [{ kernel, bindings: [chunk, gain, out], workgroups: [to - from] }];
        return { jobs, out };
      };
      await check(random, `norm of ${hidden} values, ε ${epsilon}`, rows, stride, run, expected);
    }
  }),
);

/** Summed dimension, outputs, parts of the weights. */
const matrices = [
  [1, 1, 1],
  [8, 5, 1],
  [40, 63, 2],
  [56, 64, 1],
  [68, 65, 1],
  [24, 129, 1],
  [300, 200, 3],
];

/** The products that run on this device. */
const products = Object.values(PROMPT_PRODUCTS)
  .filter(({ stage }) => stage === "promptMatmul" || harness.gpu.info.subgroupSize === 8);

for (
  const [product, weights] of products.flatMap((product) =>
    (["BF16", "F16", "F32", "Q8", "Q4"] satisfies WeightType[]).map((weights) =>
      [product, weights] as const
    )
  )
) {
  Deno.test(
    `${product.stage}: products of all sizes (${weights})`,
    seeded(async (random) => {
      for (const [k, outputs, cuts] of matrices as [number, number, number][]) {
        const rows = random.pick(ROWS);
        const add = random.chance(0.5);
        const stride = outputs + random.pick([0, 3, 8]);
        const matrix = new Matrix(random, weights, outputs, k);
        const depth = 8 * matrix.k8;
        const a = padded(random.floats(rows * k, 4), k);
        const before = random.floats(rows * stride, 4);
        const kernel = harness.kernel(product.stage, { weights }, {
          K8: matrix.k8,
          STRIDE: stride,
          ADD: Number(add),
        });
        const parts = cut(random, outputs, cuts).map(([column, count]) => ({
          words: matrix.rows(column, count),
          part: Uint32Array.of(column, count),
          count,
        }));
        const expected = new Expected(rows * stride);
        for (let row = 0; row < rows; row++) {
          for (let n = 0; n < stride; n++) {
            const old = before[row * stride + n]!;
            if (n >= outputs) {
              if (add) expected.set(row * stride + n, old);
              continue;
            }
            let value = 0;
            let magnitude = 0;
            for (let i = 0; i < depth; i++) {
              const term = a[row * depth + i]! * matrix.values[n * depth + i]!;
              value += term;
              magnitude += Math.abs(term);
            }
            const error = sumError(depth, magnitude);
            if (add) value += old;
            expected.set(
              row * stride + n,
              value,
              error + (add ? U * (Math.abs(value) + error) : 0),
            );
          }
        }
        const run = (from: number, to: number) => {
          const chunk = a.slice(from * depth, to * depth);
          // Without ADD the old values are not to be looked at.
          const out = add
            ? before.slice(from * stride, to * stride)
            : poisonedFloats((to - from) * stride);
          const span = Uint32Array.of(to - from, from);
          const jobs = parts.map(({ words, part, count }): Job => ({
            kernel,
            bindings: [words, chunk, out, part, span],
            workgroups: [
              Math.ceil(count / product.outputs),
              Math.ceil((to - from) / product.rows),
            ],
          }));
          return { jobs, out };
        };
        const what = `${outputs} × ${k}${add ? " and what was there" : ""}, ${cuts} parts`;
        await check(random, what, rows, stride, run, expected);
      }
    }),
  );
}

Deno.test(
  "promptGate: silu(gate) · up, part by part",
  seeded(async (random) => {
    for (const outputs of [1, 43, 64, 68, 200]) {
      const rows = random.pick(ROWS);
      const width = 2 * outputs;
      const stride = Math.ceil(outputs / 8) * 8;
      const parts = cut(random, outputs, random.between(1, Math.min(3, outputs)));
      // Gates beyond ±88 overflow an exponential.
      const gates = random.floats(rows * outputs, random.pick([3, 30, 200]));
      const ups = random.floats(rows * outputs, 3);
      const gateUp = new Float32Array(rows * width);
      const expected = new Expected(rows * stride);
      for (let row = 0; row < rows; row++) {
        const line = (values: Float32Array, [first, count]: readonly [number, number]) =>
          values.subarray(row * outputs + first, row * outputs + first + count);
        for (const part of parts) {
          gateUp.set(line(gates, part), row * width + 2 * part[0]);
          gateUp.set(line(ups, part), row * width + 2 * part[0] + part[1]);
        }
        for (let j = 0; j < outputs; j++) {
          const [gate, up] = [gates[row * outputs + j]!, ups[row * outputs + j]!];
          const value = silu(gate) * up;
          const error = siluError(gate, 0) * Math.abs(up) + 2 * U * Math.abs(value);
          expected.set(row * stride + j, value, error);
        }
      }
      const kernel = harness.kernel("promptGate", {}, { STRIDE: stride, WIDTH: width });
      const run = (from: number, to: number) => {
        const chunk: Data = gateUp.slice(from * width, to * width);
        const out = poisonedFloats((to - from) * stride);
        const jobs = parts.map(([first, count]): Job => ({
          kernel,
          bindings: [chunk, out, Uint32Array.of(first, count)],
          workgroups: [Math.ceil(count / 64), to - from],
        }));
        return { jobs, out };
      };
      await check(random, `${outputs} gates in [${parts}]`, rows, stride, run, expected);
    }
  }),
);
