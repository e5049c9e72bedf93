/** Weights in 8 and 4 bits: the GPU packs them as the specification does, and what that loses. */
import { assert } from "@std/assert";
import {
  type FloatType,
  isQuantized,
  planes,
  QUANTIZED_BITS,
  rowBytes,
  type WeightType,
} from "../../kernels/weight_types.ts";
import { type Random, seeded } from "../random.ts";
import { assertSameBits, Harness, poisoned } from "./harness.ts";
import { inPlanes, Matrix } from "./numbers.ts";
import { Stream } from "./products.ts";
import { dequantize, quantize } from "./quantization.ts";
import { encodeRows } from "./rows.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

const TYPES = ["Q8", "Q4"] as const;
/** Some of these in every test: each is a kernel to compile. */
const INPUTS = [1, 8, 16, 20, 31, 40, 64, 77, 300, 1040];

/** Packs all rows of a matrix on the GPU, between untouched ones; returns them and the fault it found. */
async function pack(matrix: Matrix, source: FloatType, rows: number, k: number, type: "Q8" | "Q4") {
  const words = rowBytes(type, k) / 4;
  const packed = poisoned((rows + 2) * words);
  const fault = Uint32Array.of(0);
  const kernel = harness.kernel("quantize", { weights: source }, {
    K8: matrix.k8,
    BITS: QUANTIZED_BITS[type],
  });
  const bindings = [matrix.rows(0, rows), packed, fault, Uint32Array.of(1, 7)];
  await harness.run([{ kernel, bindings, workgroups: [rows] }], [packed, fault]);
  assertSameBits("the row before", packed.subarray(0, words), poisoned(words));
  assertSameBits("the row behind", packed.subarray((rows + 1) * words), poisoned(words));
  return { packed: packed.slice(words, (rows + 1) * words), fault: fault[0]! };
}

/** A normal random number. */
function normal(random: Random): number {
  const u = Math.log(1 - random.below(1 << 24) / (1 << 24));
  return Math.sqrt(-2 * u) * Math.cos(random.float(Math.PI));
}

/** Rows of weights as no model has them, one kind of group beside the other. */
function oddWeights(random: Random, n: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n);
  for (let i = 0; i < n;) {
    const size = random.pick([0, 1, 1, 1, 1e-3, 1e3, 2 ** -101, 2 ** -99, 1e-42, 2 ** 96]);
    const flat = random.chance(0.2); // all weights of equal size, some on the ties of rounding
    for (const end = Math.min(n, i + random.pick([5, 16, 64, 400])); i < end; i++) {
      values[i] = flat ? random.pick([-1, 1, 0.5, 1 / 16, 0]) * size : normal(random) * size;
    }
  }
  return values;
}

for (const type of TYPES) {
  for (const source of ["BF16", "F16", "F32", "F8"] as const) {
    Deno.test(
      `quantize: ${source} to ${type}, as specified`,
      seeded(async (random) => {
        for (const k of random.shuffled(INPUTS.length).slice(0, 4).map((i) => INPUTS[i]!)) {
          const rows = random.between(1, 5);
          const values = random.chance(0.5)
            ? oddWeights(random, rows * k)
            : random.floats(rows * k, random.pick([1e-30, 0.02, 1, 1e4]));
          if (source === "F16") {
            values.forEach((v, i) => values[i] = Math.max(-6e4, Math.min(6e4, v)));
          }
          const matrix = new Matrix(random, source, rows, k, values);
          const exact = new Float32Array(rows * k); // what is left of the values in the source's type
          for (let row = 0; row < rows; row++) {
            const from = row * 8 * matrix.k8;
            exact.set(matrix.values.subarray(from, from + k), row * k);
          }
          const { packed, fault } = await pack(matrix, source, rows, k, type);
          assert(fault === 0, "these weights are fine");
          const words = rowBytes(type, k) / 4;
          assertSameBits(`${rows} rows of ${k}`, packed, quantize(exact, k, type), words);
        }
      }),
    );
  }

  Deno.test(
    `quantize: what ${type} loses of weights of any size`,
    seeded((random) => {
      const k = 1024;
      // Of normal weights; other groups of 16 come out the same or better.
      const most = { Q8: 0.0052, Q4: 0.077 }[type];
      for (const size of [2 ** -90, 1e-6, 0.02, 1, 2 ** 90]) {
        const values = Float32Array.from({ length: 16 * k }, () => normal(random) * size);
        const found = dequantize(quantize(values, k, type), k, type);
        const squares = values.map((v) => (v / size) ** 2).reduce((a, b) => a + b);
        const lost = found.map((v, i) => ((v - values[i]!) / size) ** 2).reduce((a, b) => a + b);
        const relative = Math.sqrt(lost / squares);
        assert(relative < most, `${type} loses ${relative} of weights of size ${size}`);
      }
      // A group far below its row's peak keeps its place, if not its digits.
      const row = Float32Array.from({ length: 64 }, (_, i) => normal(random) * (i < 16 ? 1 : 1e-9));
      for (const v of dequantize(quantize(row, 64, type), 64, type).subarray(16)) {
        assert(Math.abs(v) < 1e-4, `${v} of weights of 1e-9`);
      }
    }),
  );

  Deno.test(
    `quantize: ${type} refuses what is no weight`,
    seeded(async (random) => {
      for (const bad of [Infinity, -Infinity, NaN, 2 ** 100, -3e38]) {
        const values = random.floats(3 * 100);
        values[random.below(values.length)] = bad;
        const matrix = new Matrix(random, "BF16", 3, 100, values);
        const { fault } = await pack(matrix, "BF16", 3, 100, type);
        assert(fault === 7, `${bad} was not noticed`);
      }
    }),
  );
}

Deno.test(
  "quantize: the error of a product with 4096 inputs, as in Mistral-7B",
  seeded(async (random) => {
    const [k, outputs] = [4096, 512];
    const weights = Float32Array.from({ length: outputs * k }, () => normal(random) * 0.02);
    const input = Float32Array.from({ length: k }, () => normal(random));
    const matrix = new Matrix(random, "BF16", outputs, k, weights);
    const rows = encodeRows([{ token: 0, parent: 0, depth: 0 }]);
    const part = Uint32Array.of(0, outputs);
    const workgroups = [harness.workgroups(outputs / 4)] as const;

    /** W · input, with W quantized before on the GPU or not. */
    const multiply = async (type: WeightType): Promise<Float32Array> => {
      const stream = new Stream(random, outputs, 2);
      const sums = stream.residual.fill(0);
      const packed = isQuantized(type)
        ? new Uint32Array(outputs * rowBytes(type, k) / 4)
        : matrix.rows(0, outputs);
      const constants = { K8: k / 8, ...stream.constants };
      const kernel = harness.kernel("project", { weights: type }, constants);
      const x = new Float32Array(k);
      input.forEach((value, i) => x[inPlanes(i, k, planes(type))] = value);
      const product = { kernel, bindings: [packed, rows, x, ...stream.bindings, part], workgroups };
      if (!isQuantized(type)) {
        await harness.run([product], [sums]);
        return sums.subarray(0, outputs);
      }
      const shape = { K8: k / 8, BITS: QUANTIZED_BITS[type] };
      const quantize = {
        kernel: harness.kernel("quantize", { weights: "BF16" }, shape),
        bindings: [matrix.rows(0, outputs), packed, Uint32Array.of(0), Uint32Array.of(0, 1)],
        workgroups: [outputs] as const,
      };
      await harness.run([quantize], [packed]);
      await harness.run([product], [sums]);
      return sums.subarray(0, outputs);
    };

    const exact = await multiply("BF16");
    const norm = (values: Float32Array) => Math.hypot(...values);
    for (const [type, least, most] of [["Q8", 0.003, 0.006], ["Q4", 0.05, 0.09]] as const) {
      const found = await multiply(type);
      const relative = norm(found.map((v, i) => v - exact[i]!)) / norm(exact);
      console.log(`${type}: the product is off by ${(100 * relative).toFixed(2)}%`);
      assert(relative > least && relative < most, `${type}: off by ${relative}`);
    }
  }),
);
