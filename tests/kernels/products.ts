/**
 * The decode step's products, set up with random inputs, and what they should compute.
 *
 * A product has MAX_ROWS vectors. A pass puts some of them, its members, into rows 0, 1, … in any order.
 *
 * @module
 */
import { type CacheType, MAX_ROWS, type WeightType } from "../../kernels/stages.ts";
import { planes } from "../../kernels/weight_types.ts";
import { Random } from "../random.ts";
import { type Data, Expected, type Harness, type Job, poisonedFloats } from "./harness.ts";
import { inPlanes, inSixteens, Matrix, padded, silu, siluError, sumError, U } from "./numbers.ts";
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

/** The same, but no part ends within four. */
function cutInFours(random: Random, n: number, parts: number): [number, number][] {
  return cut(random, Math.ceil(n / 4), parts).map(([first, count]) => [
    4 * first,
    Math.min(4 * count, n - 4 * first),
  ]);
}

/** The vectors of a product, its weights, and the sums they make in f64. */
export class Operands {
  readonly epsilon = 1e-5;
  readonly matrix: Matrix;
  readonly #stride: number;
  readonly #x: Float32Array<ArrayBuffer>;
  readonly #squares: Float32Array<ArrayBuffer>;
  readonly #normed: boolean;
  readonly #roundings: number;
  readonly #sums = new Map<string, { value: number; error: number }>();
  readonly #scales = new Map<number, number>();

  /**
   * `normed`: whether RMSNorm comes before the product, that is, whether sums are divided by a root mean square: that of
   * the vectors before a gain made them `x`.
   */
  constructor(
    random: Random,
    harness: Harness,
    readonly shape: ProductShape,
    rows: number,
    normed: boolean,
  ) {
    const { k } = shape;
    this.matrix = new Matrix(random, shape.weights, rows, k);
    this.#stride = inSixteens(k);
    this.#x = padded(random.floats(MAX_ROWS * k), k, 16);
    this.#squares = new Float32Array(MAX_ROWS * this.#stride / 4);
    for (let member = 0; member < MAX_ROWS; member++) {
      const scale = random.pick([1e-3, 1, 4]); // at the first, epsilon counts
      for (let at = member * this.#stride; at < (member + 1) * this.#stride; at++) {
        this.#x[at]! *= scale;
        const before = this.#x[at]! * random.pick([0.5, 1, 2]);
        this.#squares[at >> 2]! += before * before;
      }
    }
    this.#normed = normed;
    // A sum: its products, a lane's chain, then the lanes. The norm: half of what its own sum is off (the root), and 10
    // for the division, the root and the scaling.
    const { lanes, vector } = harness.compiler;
    const piece = 4 * planes(shape.weights);
    const chain = vector ? this.#stride : piece * Math.ceil(k / piece / lanes) + lanes;
    const squaresChain = Math.ceil(this.#stride / 16 / lanes) + 3 + lanes;
    const scale = shape.weights === "F8" ? 1 : 0; // those of other types are powers of two
    this.#roundings = 1 + chain + scale + (normed ? squaresChain / 2 + 10 : 0);
  }

  /** Binding 2 of a pass. */
  x(members: readonly number[]): Float32Array<ArrayBuffer> {
    const stride = this.#stride;
    const x = poisonedFloats(MAX_ROWS * stride);
    members.forEach((m, row) => {
      for (let i = 0; i < stride; i++) {
        const at = inPlanes(i, stride, planes(this.shape.weights));
        x[row * stride + at] = this.#x[m * stride + i]!;
      }
    });
    return x;
  }

  /** Binding 3 of a pass with a norm. */
  squares(members: readonly number[]): Float32Array<ArrayBuffer> {
    const stride = this.#stride / 4;
    const squares = poisonedFloats(MAX_ROWS * stride);
    members.forEach((m, row) =>
      squares.set(this.#squares.subarray(m * stride, (m + 1) * stride), row * stride)
    );
    return squares;
  }

  /** Output `n` of a member, before the residual, and how far it may be off. */
  sum(member: number, n: number): { value: number; error: number } {
    const key = `${member} ${n}`;
    const known = this.#sums.get(key);
    if (known) return known;
    const inputs = 8 * this.matrix.k8;
    let value = 0;
    let magnitude = 0;
    for (let i = 0; i < inputs; i++) {
      const term = this.matrix.values[n * inputs + i]! * this.#x[member * this.#stride + i]!;
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
      const stride = this.#stride / 4;
      const squares = this.#squares.subarray(member * stride, (member + 1) * stride);
      const sum = squares.reduce((a, b) => a + b, 0);
      scale = 1 / Math.sqrt(sum / this.shape.k + this.epsilon);
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
  const parts = cutInFours(random, vocab, shape.parts).map(([first, count]) => ({
    words: matrix.rows(first, count),
    part: Uint32Array.of(first, count),
    count,
  }));
  return {
    pass(members) {
      const rows = plainRows(members);
      const x = operands.x(members);
      const squares = operands.squares(members);
      const logits = poisonedFloats(MAX_ROWS * vocab);
      return {
        jobs: parts.map(({ words, part, count }) => ({
          kernel,
          bindings: [words, rows, x, squares, logits, part],
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

/** The residual stream of a pass: what lib/residual.wgsl keeps. */
export class Stream {
  readonly residual: Float32Array<ArrayBuffer>;
  readonly gained: Float32Array<ArrayBuffer>;
  readonly squares: Float32Array<ArrayBuffer>;
  readonly gain: Float32Array<ArrayBuffer>;
  /** Constants of the stages that keep it. */
  readonly constants: { readonly STRIDE: number; readonly PLANES: 2 | 4 };

  /** Of rows of `k` values. */
  constructor(random: Random, k: number, planes: 2 | 4) {
    const stride = inSixteens(k);
    this.constants = { STRIDE: stride, PLANES: planes };
    this.gain = padded(random.floats(k, 2), k);
    this.residual = poisonedFloats(MAX_ROWS * stride);
    this.gained = poisonedFloats(MAX_ROWS * stride);
    this.squares = poisonedFloats(MAX_ROWS * stride / 4);
  }

  /** Bindings 3 to 6. */
  get bindings(): Float32Array<ArrayBuffer>[] {
    return [...this.outputs, this.gain];
  }

  /** What a run changes. */
  get outputs(): Float32Array<ArrayBuffer>[] {
    return [this.residual, this.gained, this.squares];
  }

  /** All that is kept of a row. */
  row(row: number): Float32Array<ArrayBuffer> {
    return Float32Array.from(this.outputs.flatMap((values) => {
      const stride = values.length / MAX_ROWS;
      return [...values.subarray(row * stride, (row + 1) * stride)];
    }));
  }

  /**
   * After a run that changed the first rows: fails unless these hold what follows from their residual, and the rest is
   * as it was.
   *
   * @param quads Quads of a row that the run kept.
   */
  check(what: string, rows: number, quads: number): void {
    const { STRIDE: stride, PLANES: planes } = this.constants;
    const gained = new Expected(this.gained.length);
    const squares = new Expected(this.squares.length);
    for (let row = 0; row < rows; row++) {
      for (let quad = 0; quad < quads; quad++) {
        let sum = 0;
        for (let i = 4 * quad; i < 4 * quad + 4; i++) {
          const value = this.residual[row * stride + i]!;
          const at = row * stride + inPlanes(i, stride, planes);
          gained.set(at, Math.fround(value * this.gain[i]!));
          sum += value * value;
        }
        squares.set(row * stride / 4 + quad, sum, sumError(4, sum) + 1e-44);
      }
    }
    gained.check(`gained values of ${what}`, this.gained, stride);
    squares.check(`squares of ${what}`, this.squares, stride / 4);
  }
}

/** residual += W · x */
export function project(random: Random, harness: Harness, shape: ProductShape): Product {
  const { outputs, weights } = shape;
  const operands = new Operands(random, harness, shape, outputs, false);
  const { matrix } = operands;
  const before = padded(random.floats(MAX_ROWS * outputs, 4), outputs, 16);
  const seed = random.below(2 ** 32);
  const reader = random.pick([2, 4] as const); // planes of the product that comes next
  const parts = cutInFours(random, outputs, shape.parts).map(([first, count]) => ({
    words: matrix.rows(first, count),
    part: Uint32Array.of(first, count),
    count,
  }));
  return {
    pass(members) {
      const rows = plainRows(members);
      const x = operands.x(members);
      const stream = new Stream(new Random(seed), outputs, reader);
      const { residual, constants } = stream;
      const stride = constants.STRIDE;
      const kernel = harness.kernel("project", { weights }, { K8: matrix.k8, ...constants });
      members.forEach((member, row) =>
        residual.set(before.subarray(member * stride, (member + 1) * stride), row * stride)
      );
      return {
        jobs: parts.map(({ words, part, count }) => ({
          kernel,
          bindings: [words, rows, x, ...stream.bindings, part],
          workgroups: [harness.workgroups(Math.ceil(count / 4))],
        })),
        outputs: stream.outputs,
        row: (row) => stream.row(row),
        check() {
          const expected = new Expected(residual.length);
          members.forEach((member, row) => {
            for (let n = 0; n < stride; n++) {
              const { value, error } = n < outputs
                ? operands.sum(member, n)
                : { value: 0, error: 0 };
              const sum = before[member * stride + n]! + value;
              expected.set(row * stride + n, sum, error + U * (Math.abs(sum) + error));
            }
          });
          expected.check(`residual of ${members.length} rows`, residual, stride);
          stream.check(`${members.length} rows`, members.length, Math.ceil(outputs / 4));
        },
      };
    },
  };
}

/** norm · gate · up · silu */
export function gateUp(random: Random, harness: Harness, shape: ProductShape): Product {
  const { outputs, weights } = shape;
  const stride = inSixteens(outputs) + 16;
  const reader = random.pick([2, 4] as const); // planes of the product that comes next
  const operands = new Operands(random, harness, shape, 2 * outputs, true);
  const { matrix, epsilon } = operands;
  const kernel = harness.kernel("gateUp", { weights }, {
    K8: matrix.k8,
    HIDDEN: shape.k,
    EPSILON: epsilon,
    STRIDE: stride,
    PLANES: reader,
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
      const squares = operands.squares(members);
      const h = poisonedFloats(MAX_ROWS * stride);
      return {
        jobs: parts.map(({ words, part, count }) => ({
          kernel,
          bindings: [words, rows, x, squares, h, part],
          workgroups: [harness.workgroups(Math.ceil(count / 2))],
        })),
        outputs: [h],
        row: (row) => h.subarray(row * stride, (row + 1) * stride),
        check() {
          const expected = new Expected(h.length);
          members.forEach((member, row) => {
            for (let j = 0; j < outputs; j++) {
              const gate = operands.sum(member, j);
              const up = operands.sum(member, outputs + j);
              const value = silu(gate.value) * up.value;
              const error = siluError(gate.value, gate.error) * (Math.abs(up.value) + up.error) +
                Math.abs(silu(gate.value)) * up.error + 2 * U * Math.abs(value);
              expected.set(row * stride + inPlanes(j, stride, reader), value, error);
            }
          });
          expected.check(`h of ${members.length} rows`, h, stride);
        },
      };
    },
  };
}
