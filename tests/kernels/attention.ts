/**
 * Attention, set up with random queries, keys and values, and what it should compute.
 *
 * A position's keys and values are its memory. Memories stand in the cache's ring, or, for the rows of a
 * pass, in fresh slots.
 *
 * @module
 */
import type { Row } from "../../decode/rows.ts";
import { type AttentionTile, attentionTile } from "../../kernels/attention_tile.ts";
import { type CacheType, CHUNK, MAX_ROWS } from "../../kernels/stages.ts";
import type { Random } from "../random.ts";
import {
  type Data,
  Expected,
  type Harness,
  type Job,
  poisoned,
  poisonedFloats,
} from "./harness.ts";
import {
  decodeCache,
  encodeCache,
  expError,
  inPlanes,
  inSixteens,
  pairWords,
  U,
} from "./numbers.ts";
import { encodeRows, pathTo } from "./rows.ts";

/** The sizes of an attention. */
export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  /** Half of a head's dimensions. */
  readonly half: number;
  /** Positions that a query sees, its own included. */
  readonly window: number;
  /** Slots of the ring. */
  readonly capacity: number;
  readonly cache: CacheType;
  /** Threads of a workgroup of combine.wgsl, a power of two. Default: as many as go with the device. */
  readonly combiners?: number;
}

/** Keys and values of one position, as a cache rounds them. [k, v][KV_HEADS][HALF][2] */
export type Memory = Float32Array<ArrayBuffer>;

/** A query with the memory of its own position. */
export interface Query {
  /** [HEADS][HALF][2] */
  readonly q: Float32Array<ArrayBuffer>;
  readonly memory: Memory;
}

/** A run of some rows. */
export interface AttentionPass {
  readonly jobs: readonly Job[];
  readonly outputs: readonly Data[];
  /** After the run: fails unless every row is right and nothing else was touched. */
  check(): void;
  /** After the run: a row's result. */
  row(row: number): Data;
}

/** Attention of one shape. */
export class Attention {
  readonly #random: Random;
  readonly #harness: Harness;
  readonly #shape: AttentionShape;
  /** Values of a row of the output, and between two rows. */
  readonly #width: number;
  readonly #stride: number;
  readonly #slots: number;
  /** Of the product that reads a pass's output. */
  readonly #planes: 2 | 4;

  /** `longest`: the last position that a row can have. */
  constructor(random: Random, harness: Harness, shape: AttentionShape, longest: number) {
    this.#random = random;
    this.#harness = harness;
    this.#shape = shape;
    this.#planes = random.pick([2, 4]);
    this.#width = shape.heads * shape.half * 2;
    this.#stride = inSixteens(this.#width) + 16;
    const chunks = Math.floor(longest / CHUNK) + 1;
    this.#slots = Math.min(chunks, Math.ceil(shape.window / CHUNK) + 1);
  }

  /** A random memory. */
  memory(): Memory {
    const { kvHeads, half, cache } = this.#shape;
    return decodeCache(cache, encodeCache(cache, this.#random.floats(2 * kvHeads * half * 2, 2)));
  }

  /** A random query, its scores spread by a factor that differs from query to query. */
  query(): Query {
    const scale = this.#random.pick([0.1, 1, 3, 30]);
    return { q: this.#random.floats(this.#width, scale), memory: this.memory() };
  }

  get #constants(): Record<string, number> {
    const { heads, kvHeads, half, window, capacity } = this.#shape;
    return {
      HEADS: heads,
      KV_HEADS: kvHeads,
      HALF: half,
      WINDOW: window,
      SCALE: 1 / Math.sqrt(2 * half),
      CAPACITY: capacity,
      STRIDE: this.#stride,
      SLOTS: this.#slots,
      ...this.#tile(2).constants,
    };
  }

  #tile(mostQuads: 1 | 2): AttentionTile {
    return attentionTile(this.#shape.half, this.#harness.compiler.attention, mostQuads);
  }

  /** A cache whose ring holds the last of `past`, and whose fresh slots are poison. */
  #cache(past: readonly Memory[]): Uint32Array<ArrayBuffer> {
    const { kvHeads, half, capacity, cache } = this.#shape;
    const words = poisoned((capacity + 2 * MAX_ROWS) * 2 * kvHeads * half * pairWords(cache));
    past.forEach((memory, position) => this.#put(words, position % capacity, memory));
    return words;
  }

  #put(words: Uint32Array, slot: number, memory: Memory): void {
    const encoded = encodeCache(this.#shape.cache, memory);
    words.set(encoded, slot * encoded.length);
  }

  /** attend and combine: the rows of a pass over a committed past. */
  pass(past: readonly Memory[], rows: readonly Row[], queries: readonly Query[]): AttentionPass {
    const { heads, kvHeads, half, capacity, cache: type, combiners } = this.#shape;
    const fresh = this.#random.below(2);
    const cache = this.#cache(past);
    const q = poisonedFloats(MAX_ROWS * this.#width);
    queries.forEach((query, row) => {
      q.set(query.q, row * this.#width);
      this.#put(cache, capacity + fresh * MAX_ROWS + row, query.memory);
    });
    const words = encodeRows(rows, { base: past.length, half: fresh });
    const sums = poisonedFloats(MAX_ROWS * heads * this.#slots * half * 2);
    const peaks = poisonedFloats(MAX_ROWS * heads * this.#slots * 2);
    const out = poisonedFloats(MAX_ROWS * this.#stride);
    // As many workgroups as there can be rows and chunks, or fewer rows or chunks at a time.
    const spread = this.#random.pick([1, 2, 5, MAX_ROWS]);
    const last = past.length + Math.max(...rows.map(({ depth }) => depth));
    const chunks = Math.min(this.#slots, Math.floor(last / CHUNK) + 1);
    const chunksAtOnce = this.#random.pick([1, 2, chunks, chunks]);
    const quadsTogether = this.#random.pick([1, 2] as const);
    const [attend, combine] = [
      this.#harness.kernel("attend", { cache: type }, {
        ...this.#constants,
        ...this.#tile(quadsTogether).constants,
      }),
      this.#harness.kernel("combine", {}, {
        ...this.#constants,
        ...combiners && { COMBINERS: combiners },
        PLANES: this.#planes,
      }),
    ];
    return {
      jobs: [
        {
          kernel: attend,
          bindings: [words, q, cache, sums, peaks],
          workgroups: [kvHeads, Math.min(chunks, chunksAtOnce), spread],
        },
        { kernel: combine, bindings: [words, sums, peaks, out], workgroups: [heads, spread] },
      ],
      outputs: [out],
      row: (row) => out.subarray(row * this.#stride, (row + 1) * this.#stride),
      check: () => {
        const expected = new Expected(out.length);
        rows.forEach((_, row) => {
          const path = pathTo(rows, row).map((ancestor) => queries[ancestor]!.memory);
          const memories = [...past, ...path];
          this.#expect(
            expected,
            row,
            queries[row]!,
            memories,
            (i) => inPlanes(i, this.#stride, this.#planes),
          );
        });
        expected.check(`${rows.length} rows after ${past.length}`, out, this.#stride);
      },
    };
  }

  /** promptAttend: a chunk of a prompt from `position` on, whose memories are all in the ring. */
  chunk(past: readonly Memory[], position: number, queries: readonly Query[]): AttentionPass {
    const { heads, kvHeads, cache: type } = this.#shape;
    const all = [...past.slice(0, position), ...queries.map((query) => query.memory)];
    const q = poisonedFloats(queries.length * this.#width);
    queries.forEach((query, row) => q.set(query.q, row * this.#width));
    const out = poisonedFloats(queries.length * this.#stride);
    const span = Uint32Array.of(queries.length, position);
    const tile = this.#tile(this.#random.pick([1, 2]));
    const constants = { ...this.#constants, ...tile.constants };
    return {
      jobs: [{
        kernel: this.#harness.kernel("promptAttend", { cache: type }, constants),
        bindings: [q, this.#cache(all), out, span],
        workgroups: [kvHeads, Math.ceil(queries.length * heads / kvHeads / tile.queries)],
      }],
      outputs: [out],
      row: (row) => out.subarray(row * this.#stride, row * this.#stride + this.#width),
      check: () => {
        const expected = new Expected(out.length);
        queries.forEach((query, row) => {
          this.#expect(expected, row, query, all.slice(0, position + row + 1), (i) => i);
        });
        expected.check(`${queries.length} rows from ${position}`, out, this.#stride);
      },
    };
  }

  /**
   * Plain softmax attention of one query over the memories of positions 0, 1, …, its own the last.
   *
   * @param place Where a row of the output has a value.
   */
  #expect(
    expected: Expected,
    row: number,
    { q }: Query,
    memories: readonly Memory[],
    place: (i: number) => number,
  ): void {
    const { heads, kvHeads, half, window } = this.#shape;
    const seen = memories.slice(Math.max(0, memories.length - window));
    const size = 2 * half;
    const chunks = Math.floor(seen.length / CHUNK) + 2;
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / (heads / kvHeads));
      const scores: number[] = [];
      let scoreError = 0;
      for (const memory of seen) {
        let score = 0;
        let magnitude = 0;
        for (let i = 0; i < size; i++) {
          const term = q[head * size + i]! * memory[kvHead * size + i]! / Math.sqrt(size);
          score += term;
          magnitude += Math.abs(term);
        }
        scores.push(score);
        scoreError = Math.max(scoreError, (size + 3) * U * magnitude);
      }
      const peak = scores.reduce((a, b) => Math.max(a, b));
      // How far a score may be off moves its weight by the same part. A weight is e^(score - its chunk's
      // peak), scaled once or, in a prompt, chunk by chunk until the highest peak.
      const weights = scores.map((score) => {
        const below = peak - score;
        const value = Math.exp(-below);
        const steps = 2 * expError(below) + (chunks + 2) * expError(0) + 2 * U * below;
        return { value, error: value * (Math.exp(2 * scoreError + steps) - 1) };
      });
      const mass = weights.reduce((sum, { value }) => sum + value, 0);
      const massError = weights.reduce((sum, { error }) => sum + error, 0);
      const roundings = (CHUNK + 3 * chunks + 4) * U;
      for (let i = 0; i < size; i++) {
        let sum = 0;
        let magnitude = 0;
        let error = 0;
        weights.forEach((weight, j) => {
          const v = seen[j]![(kvHeads + kvHead) * size + i]!;
          sum += weight.value * v;
          magnitude += weight.value * Math.abs(v);
          error += weight.error * Math.abs(v);
        });
        const value = sum / mass;
        const bound =
          (error + roundings * magnitude + Math.abs(value) * (massError + roundings * mass)) /
          Math.max(mass - massError, mass / 2);
        // The pair (i, i + half) stands side by side in q and in memory, apart in the output.
        const at = head * size + (i >> 1) + (i & 1) * half;
        expected.set(row * this.#stride + place(at), value, bound);
      }
    }
  }
}
