/** The prompt's own stages against float64; a row's bits do not depend on the chunk it is in. */
import { assert } from "@std/assert";
import type { WeightType } from "../../kernels/stages.ts";
import {
  F16_PRODUCT,
  PROMPT_PRODUCTS,
  type PromptProduct,
  tileWorkgroups,
} from "../../kernels/profile.ts";
import { type Random, seeded } from "../random.ts";
import {
  assertSameBits,
  type Data,
  Expected,
  Harness,
  type Job,
  poisonedFloats,
} from "./harness.ts";
import { f16SumError, Matrix, padded, peak, silu, siluError, sumError, U } from "./numbers.ts";
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
      const gain = poisonedFloats(Math.ceil(hidden / 4) * 4); // buffers end with whole quads
      gain.set(random.floats(hidden, 2));
      const kernel = harness.kernel("promptNormalize", {}, {
        STRIDE: stride,
        HIDDEN: hidden,
        EPSILON: epsilon,
      });
      const expected = new Expected(rows * stride);
      // A lane's squares, the lanes, one after another at worst, and the four sums they have; the root halves what they are
      // off. Then the division, the root and two products.
      const { lanes } = harness.compiler;
      const roundings = (Math.ceil(hidden / 4 / lanes) + lanes + 3) / 2 + 11;
      for (let row = 0; row < rows; row++) {
        const values = x.subarray(row * stride, row * stride + hidden);
        const squares = values.reduce((sum, v) => sum + v * v, 0);
        const rms = Math.sqrt(squares / hidden + epsilon);
        values.forEach((v, i) => {
          const value = v / rms * gain[i]!;
          expected.set(row * stride + i, value, sumError(roundings, Math.abs(value)));
        });
        for (let i = hidden; i % 4 > 0; i++) expected.set(row * stride + i, 0, 0);
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
const matrices: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [8, 5, 1],
  [40, 63, 2],
  [56, 64, 1],
  [68, 65, 1],
  [24, 129, 1],
  [300, 200, 3],
];

/** The products that run on this device. */
const products: PromptProduct[] = Object.values(PROMPT_PRODUCTS)
  .filter(({ stage }) =>
    stage !== "promptMatmulLanes" || harness.compiler.vector || harness.gpu.info.subgroupSize === 8
  );
if (harness.gpu.info.hasF16) products.push(F16_PRODUCT);

/** Makes the powers of two that bring rows into the range of f16. */
function scaleRows(weights: WeightType, k8: number, words: Data, rows: number) {
  const kernel = harness.kernel("promptScales", { weights }, { K8: k8 });
  const scales = poisonedFloats(rows);
  const across = Math.ceil(rows / 2); // rows come in both dimensions where there are very many
  const bindings = [words, scales, Uint32Array.of(rows)];
  const job: Job = { kernel, bindings, workgroups: [across, Math.ceil(rows / across)] };
  return { job, scales };
}

for (
  const [product, weights] of products.flatMap((product) =>
    (["BF16", "F16", "F32", "F8", "Q8", "Q4"] satisfies WeightType[]).map((weights) =>
      [product, weights] as const
    )
  )
) {
  const isF16 = product === F16_PRODUCT;
  Deno.test(
    `${product.stage}: products of all sizes (${weights})`,
    seeded(async (random) => {
      // What this device would not choose is compiled for samples only: Debian 13's Mesa takes seconds for each.
      const isOwn = product === harness.compiler.promptProduct;
      const some = isOwn ? matrices.keys() : random.shuffled(matrices.length).slice(0, 3);
      for (const i of some) {
        const [k, outputs, cuts] = matrices[i]!;
        const rows = random.pick(ROWS);
        const add = random.chance(0.5);
        const stride = outputs + random.pick([0, 3, 8]);
        const wide = random.floats(outputs * k);
        const values = random.floats(rows * k, 4);
        if (isF16) {
          roughen(random, values, k);
          if (weights !== "F16") roughen(random, wide, k);
        }
        const matrix = new Matrix(random, weights, outputs, k, wide);
        const depth = 8 * matrix.k8;
        const a = padded(values, k);
        const before = random.floats(rows * stride, 4);
        const kernel = harness.kernel(product.stage, { weights }, {
          K8: matrix.k8,
          STRIDE: stride,
          ADD: Number(add),
        });
        const parts = cut(random, outputs, cuts).map(([column, count]) => {
          const words = matrix.rows(column, count);
          const scaled = isF16 ? [scaleRows(weights, matrix.k8, words, count)] : [];
          return { words, part: Uint32Array.of(column, count), count, scaled };
        });
        const rowOf = (matrix: Float32Array, row: number) =>
          matrix.subarray(row * depth, (row + 1) * depth);
        const peaksA = Array.from({ length: rows }, (_, row) => peak(rowOf(a, row)));
        const peaksB = Array.from({ length: outputs }, (_, n) => peak(rowOf(matrix.values, n)));
        const expected = new Expected(rows * stride);
        for (let row = 0; row < rows; row++) {
          const values = rowOf(a, row);
          for (let n = 0; n < stride; n++) {
            const old = before[row * stride + n]!;
            if (n >= outputs) {
              if (add) expected.set(row * stride + n, old);
              continue;
            }
            const line = rowOf(matrix.values, n);
            let value = 0;
            let products = 0;
            let [sizeA, sizeB] = [0, 0];
            for (let i = 0; i < depth; i++) {
              const term = values[i]! * line[i]!;
              value += term;
              products += Math.abs(term);
              sizeA += Math.abs(values[i]!);
              sizeB += Math.abs(line[i]!);
            }
            const sizes = { a: sizeA, b: sizeB, products };
            const error = isF16
              ? f16SumError(depth, sizes, { a: peaksA[row]!, b: peaksB[n]! })
              : sumError(depth + (weights === "F8" ? 1 : 0), products); // its scale
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
          const rowsScaled = isF16 ? [scaleRows("F32", matrix.k8, chunk, to - from)] : [];
          const jobs = parts.flatMap(({ words, part, count, scaled }): Job[] => {
            const scales = [...rowsScaled, ...scaled];
            const bindings = [words, chunk, out, part, span, ...scales.map(({ scales }) => scales)];
            const workgroups = tileWorkgroups(product, to - from, count);
            return [...scales.map(({ job }) => job), { kernel, bindings, workgroups }];
          });
          return { jobs, out };
        };
        const what = `${outputs} × ${k}${add ? " and what was there" : ""}, ${cuts} parts`;
        await check(random, what, rows, stride, run, expected);
      }
    }),
  );
}

Deno.test(
  "all products in f32 make the same bits, so that speed alone may choose",
  seeded(async (random) => {
    const [k, outputs, rows] = [300, 150, 70];
    const matrix = new Matrix(random, "BF16", outputs, k, random.floats(outputs * k));
    const a = padded(random.floats(rows * k, 4), k);
    const words = matrix.rows(0, outputs);
    const outs: Float32Array<ArrayBuffer>[] = [];
    for (const product of products) {
      if (product === F16_PRODUCT) continue;
      const constants = { K8: matrix.k8, STRIDE: outputs, ADD: 0 };
      const kernel = harness.kernel(product.stage, { weights: "BF16" }, constants);
      const out = poisonedFloats(rows * outputs);
      const bindings = [words, a, out, Uint32Array.of(0, outputs), Uint32Array.of(rows)];
      const workgroups = tileWorkgroups(product, rows, outputs);
      await harness.run([{ kernel, bindings, workgroups }], [out]);
      outs.push(out);
    }
    assert(outs.length > 1);
    for (const [i, out] of outs.entries()) {
      assertSameBits(`${products[i]!.stage} and ${products[0]!.stage}`, out, outs[0]!, outputs);
    }
  }),
);

/** Makes some rows of `k` values very large or small, some all zeros, and lets single values stand out. */
function roughen(random: Random, values: Float32Array, k: number): void {
  for (let row = 0; row < values.length / k; row++) {
    const line = values.subarray(row * k, (row + 1) * k);
    const scale = random.pick([1, 1, 1, 1e-12, 1e12, 0]);
    line.forEach((value, i) => line[i] = value * scale);
    if (random.chance(0.5)) line[random.below(k)]! *= random.pick([100, 1e5]);
  }
}

Deno.test(
  "promptScales: the power of two that brings a row's largest value to 16 up to 32",
  seeded(async (random) => {
    for (const k of [1, 8, 500, 520, 1003]) {
      const rows = random.between(1, 9);
      const values = random.floats(rows * k, 4);
      roughen(random, values, k);
      if (k === 500) values.fill(0, 0, k); // whose scale is the largest
      const { job, scales } = scaleRows("F32", Math.ceil(k / 8), padded(values, k), rows);
      await harness.run([job], [scales]);
      for (let row = 0; row < rows; row++) {
        const line = values.subarray(row * k, (row + 1) * k);
        const largest = peak(line);
        const scale = scales[row]!;
        const what = `scale ${scale} of a row whose largest value is ${largest}`;
        assert(Number.isInteger(Math.log2(scale)), what);
        assert(Math.log2(scale) <= 126, `${what}: its inverse is no normal number`);
        assert(largest * scale < 32 && (largest < 2 ** -120 || largest * scale >= 16), what);
      }
    }
  }),
);

Deno.test({
  name: "promptMatmulF16: its error is below that of rounding the inputs to bf16",
  ignore: !harness.gpu.info.hasF16,
  fn: seeded(async (random) => {
    for (const k of [256, 4096]) {
      const [rows, outputs] = [64, 128];
      const matrix = new Matrix(random, "BF16", outputs, k, normals(random, outputs * k));
      const a = normals(random, rows * k);
      const words = matrix.rows(0, outputs);
      const scaledRows = scaleRows("F32", matrix.k8, a, rows);
      const scaledWeights = scaleRows("BF16", matrix.k8, words, outputs);
      const out = poisonedFloats(rows * outputs);
      const constants = { K8: matrix.k8, STRIDE: outputs, ADD: 0 };
      const kernel = harness.kernel("promptMatmulF16", { weights: "BF16" }, constants);
      const part = Uint32Array.of(0, outputs);
      const span = Uint32Array.of(rows, 0);
      const scales = [scaledRows.scales, scaledWeights.scales];
      const product: Job = {
        kernel,
        bindings: [words, a, out, part, span, ...scales],
        workgroups: [1, 1],
      };
      await harness.run([scaledRows.job, scaledWeights.job, product], [out]);
      const rounded = a.map(toBf16);
      const errors = { f16: 0, bf16: 0, size: 0 };
      for (let row = 0; row < rows; row++) {
        for (let n = 0; n < outputs; n++) {
          let exact = 0;
          let coarse = 0;
          for (let i = 0; i < k; i++) {
            const weight = matrix.values[n * k + i]!;
            exact += a[row * k + i]! * weight;
            coarse += rounded[row * k + i]! * weight;
          }
          errors.f16 += (out[row * outputs + n]! - exact) ** 2;
          errors.bf16 += (coarse - exact) ** 2;
          errors.size += exact ** 2;
        }
      }
      const [f16, bf16] = [errors.f16, errors.bf16].map((e) => Math.sqrt(e / errors.size));
      assert(f16! < bf16!, `${k} inputs: ${f16} in f16, ${bf16} with inputs in bf16`);
      assert(f16! > 1e-5, `${k} inputs: an error of ${f16} only: this seems to be f32`);
    }
  }),
});

/** Normal numbers (Box and Muller). */
function normals(random: Random, n: number): Float32Array<ArrayBuffer> {
  const uniform = () => (random.below(2 ** 30) + 1) / 2 ** 30;
  return Float32Array.from(
    { length: n },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** The nearest bf16. */
function toBf16(value: number): number {
  const word = new Uint32Array(Float32Array.of(value).buffer);
  word[0] = (word[0]! + 0x7fff + (word[0]! >>> 16 & 1)) & 0xffff0000;
  return new Float32Array(word.buffer)[0]!;
}

Deno.test(
  "promptGate: silu(gate) · up, part by part",
  seeded(async (random) => {
    for (const outputs of [1, 43, 64, 300, 2100]) {
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
          workgroups: [Math.ceil(count / 256), to - from],
        }));
        return { jobs, out };
      };
      await check(random, `${outputs} gates in [${parts}]`, rows, stride, run, expected);
    }
  }),
);
