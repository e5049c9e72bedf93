/**
 * The decode step's products, set up with random inputs, and what they should compute.
 *
 * A product has MAX_ROWS vectors. A pass puts some of them, its members, into rows 0, 1, … in any order.
 *
 * @module
 */
import { type CacheType, MAX_ROWS, type WeightType } from "../../kernels/stages.ts";
import type { Random } from "../random.ts";
import { type Data, Expected, type Harness, type Job, poisonedFloats } from "./harness.ts";
import { Matrix, padded, silu, siluError, sumError, U } from "./numbers.ts";
import { encodeRows } from "./rows.ts";

/** The sizes of a product. */
export interface ProductShape {
  readonly weights: WeightType;
  readonly cache: CacheType;
  /** Values in a row, the dimension that is summed. */
  readonly k: number;
  /** Outputs; heads for qkv. */
  readonly outputs: number;
  /** Into how many parts the weights are cut. */
  readonly parts: number;
}

/** One pass over some members, in all parts of the weights. */
export interface Pass {
  readonly jobs: readonly Job[];
  readonly outputs: readonly Data[];
  /** After the run: fails unless all that was computed is right, and nothing else was touched. */
  check(): void;
  /** After the run: the bits of what a row's member came to. */
  row(row: number): Data;
}

/** A product of which passes can be made. */
export interface Product {
  pass(members: readonly number[]): Pass;
}

/** Cuts 0 … `n` into random parts: [first, count] of each. */
export function cut(random: Random, n: number, parts: number): [first: number, count: number][] {
  const inner = random.shuffled(n - 1).slice(0, parts - 1).map((i) => i + 1);
  const edges = [0, ...inner.sort((a, b) => a - b), n];
  return edges.slice(1).map((edge, i) => [edges[i]!, edge - edges[i]!]);
}

/** The vectors of a product, its weights, and the sums they make in f64. */
export class Operands {
  readonly epsilon = 1e-5;
  readonly matrix: Matrix;
  readonly gain: Float32Array<ArrayBuffer>;
  readonly #x: Float32Array<ArrayBuffer>;
  readonly #normed: boolean;
  readonly #roundings: number;
  readonly #sums = new Map<string, { value: number; error: number }>();
  readonly #scales = new Map<number, number>();

  /** `normed`: whether RMSNorm comes before the product. */
  constructor(
    random: Random,
    harness: Harness,
    readonly shape: ProductShape,
    rows: number,
    normed: boolean,
  ) {
    const { k } = shape;
    this.matrix = new Matrix(random, shape.weights, rows, k);
    this.gain = padded(random.floats(k, 2), k);
    this.#x = padded(random.floats(MAX_ROWS * k), k);
    const stride = 8 * this.matrix.k8;
    for (let member = 0; member < MAX_ROWS; member++) {
      const scale = random.pick([1e-3, 1, 4]); // at the first, epsilon counts
      for (let i = 0; i < stride; i++) this.#x[member * stride + i]! *= scale;
    }
    this.#normed = normed;
    // A sum: its products, a lane's chain, then the lanes. The norm: the gain, half of what its own sum
    // is off (the root), and 10 for the division, the root and the scaling.
    const { lanes } = harness.compiler;
    const chain = 8 * Math.ceil(this.matrix.k8 / lanes) + lanes;
    this.#roundings = 1 + chain + (normed ? chain / 2 + 11 : 0);
  }

  /** Bindings 0 to 3 or 0 to 2 of a pass but for the rows. */
  x(members: readonly number[]): Float32Array<ArrayBuffer> {
    const stride = 8 * this.matrix.k8;
    const x = poisonedFloats(MAX_ROWS * stride);
    members.forEach((m, row) =>
      x.set(this.#x.subarray(m * stride, (m + 1) * stride), row * stride)
    );
    return x;
  }

  /** Output `n` of a member, before the residual, and how far it may be off. */
  sum(member: number, n: number): { value: number; error: number } {
    const key = `${member} ${n}`;
    const known = this.#sums.get(key);
    if (known) return known;
    const stride = 8 * this.matrix.k8;
    let value = 0;
    let magnitude = 0;
    for (let i = 0; i < stride; i++) {
      const gain = this.#normed ? this.gain[i]! : 1;
      const term = this.matrix.values[n * stride + i]! * this.#x[member * stride + i]! * gain;
      value += term;
      magnitude += Math.abs(term);
    }
    const scale = this.#normed ? this.#inverseRms(member) : 1;
    const sum = { value: value * scale, error: sumError(this.#roundings, magnitude * scale) };
    this.#sums.set(key, sum);
    return sum;
  }

  #inverseRms(member: number): number {
    let scale = this.#scales.get(member);
    if (scale === undefined) {
      const stride = 8 * this.matrix.k8;
      const x = this.#x.subarray(member * stride, (member + 1) * stride);
      const squares = x.reduce((sum, v) => sum + v * v, 0);
      scale = 1 / Math.sqrt(squares / this.shape.k + this.epsilon);
      this.#scales.set(member, scale);
    }
    return scale;
  }
}

/** The rows of a pass over members that need nothing but their number. */
function plainRows(members: readonly number[]): Uint32Array<ArrayBuffer> {
  return encodeRows(members.map(() => ({ token: 0, parent: 0, depth: 0 })));
}

/** norm · head */
export function head(random: Random, harness: Harness, shape: ProductShape): Product {
  const { outputs: vocab, weights } = shape;
  const operands = new Operands(random, harness, shape, vocab, true);
  const { matrix, epsilon } = operands;
  const kernel = harness.kernel("head", { weights }, {
    K8: matrix.k8,
    HIDDEN: shape.k,
    EPSILON: epsilon,
    VOCAB: vocab,
  });
  const parts = cut(random, vocab, shape.parts).map(([first, count]) => ({
    words: matrix.rows(first, count),
    part: Uint32Array.of(first, count),
    count,
  }));
  return {
    pass(members) {
      const rows = plainRows(members);
      const x = operands.x(members);
      const logits = poisonedFloats(MAX_ROWS * vocab);
      return {
        jobs: parts.map(({ words, part, count }) => ({
          kernel,
          bindings: [words, rows, x, operands.gain, logits, part],
          workgroups: [harness.workgroups(Math.ceil(count / 4))],
        })),
        outputs: [logits],
        row: (row) => logits.subarray(row * vocab, (row + 1) * vocab),
        check() {
          const expected = new Expected(logits.length);
          members.forEach((member, row) => {
            for (let n = 0; n < vocab; n++) {
              const { value, error } = operands.sum(member, n);
              expected.set(row * vocab + n, value, error);
            }
          });
          expected.check(`logits of ${members.length} rows`, logits, vocab);
        },
      };
    },
  };
}

/** x += W · input */
export function project(random: Random, harness: Harness, shape: ProductShape): Product {
  const { outputs, weights } = shape;
  const stride = Math.ceil(outputs / 8) * 8 + 8;
  const operands = new Operands(random, harness, shape, outputs, false);
  const { matrix } = operands;
  const before = random.floats(MAX_ROWS * outputs, 4);
  const kernel = harness.kernel("project", { weights }, { K8: matrix.k8, STRIDE: stride });
  const parts = cut(random, outputs, shape.parts).map(([first, count]) => ({
    words: matrix.rows(first, count),
    part: Uint32Array.of(first, count),
    count,
  }));
  return {
    pass(members) {
      const rows = plainRows(members);
      const x = operands.x(members);
      const residual = poisonedFloats(MAX_ROWS * stride);
      members.forEach((member, row) =>
        residual.set(before.subarray(member * outputs, (member + 1) * outputs), row * stride)
      );
      return {
        jobs: parts.map(({ words, part, count }) => ({
          kernel,
          bindings: [words, rows, x, residual, part],
          workgroups: [harness.workgroups(Math.ceil(count / 4))],
        })),
        outputs: [residual],
        row: (row) => residual.subarray(row * stride, row * stride + outputs),
        check() {
          const expected = new Expected(residual.length);
          members.forEach((member, row) => {
            for (let n = 0; n < outputs; n++) {
              const { value, error } = operands.sum(member, n);
              const sum = before[member * outputs + n]! + value;
              expected.set(row * stride + n, sum, error + U * (Math.abs(sum) + error));
            }
          });
          expected.check(`residual of ${members.length} rows`, residual, stride);
        },
      };
    },
  };
}

/** norm · gate · up · silu */
export function gateUp(random: Random, harness: Harness, shape: ProductShape): Product {
  const { outputs, weights } = shape;
  const stride = Math.ceil(outputs / 8) * 8 + 8;
  const operands = new Operands(random, harness, shape, 2 * outputs, true);
  const { matrix, epsilon } = operands;
  const kernel = harness.kernel("gateUp", { weights }, {
    K8: matrix.k8,
    HIDDEN: shape.k,
    EPSILON: epsilon,
    STRIDE: stride,
  });
  const parts = cut(random, outputs, shape.parts).map(([first, count]) => ({
    words: Uint32Array.from([
      ...matrix.rows(first, count),
      ...matrix.rows(outputs + first, count),
    ]),
    part: Uint32Array.of(first, count),
    count,
  }));
  return {
    pass(members) {
      const rows = plainRows(members);
      const x = operands.x(members);
      const h = poisonedFloats(MAX_ROWS * stride);
      return {
        jobs: parts.map(({ words, part, count }) => ({
          kernel,
          bindings: [words, rows, x, operands.gain, h, part],
          workgroups: [harness.workgroups(Math.ceil(count / 2))],
        })),
        outputs: [h],
        row: (row) => h.subarray(row * stride, row * stride + outputs),
        check() {
          const expected = new Expected(h.length);
          members.forEach((member, row) => {
            for (let j = 0; j < outputs; j++) {
              const gate = operands.sum(member, j);
              const up = operands.sum(member, outputs + j);
              const value = silu(gate.value) * up.value;
              const error = siluError(gate.value, gate.error) * (Math.abs(up.value) + up.error) +
                Math.abs(silu(gate.value)) * up.error + 2 * U * Math.abs(value);
              expected.set(row * stride + j, value, error);
            }
          });
          expected.check(`h of ${members.length} rows`, h, stride);
        },
      };
    },
  };
}
