/**
 * The qkv stage, set up like the products of products.ts: heads, rotations, and the cache it writes to.
 *
 * @module
 */
import { MAX_ROWS } from "../../kernels/stages.ts";
import type { Random } from "../random.ts";
import { Expected, type Harness, poisoned, poisonedFloats } from "./harness.ts";
import { cacheError, decodeCache, encodeCache, pairWords, U } from "./numbers.ts";
import { cut, Operands, type Product, type ProductShape } from "./products.ts";
import { encodeRows } from "./rows.ts";

/** How a row of qkv is made of heads. */
export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  /** Half of a head's dimensions. */
  readonly half: number;
}

/** The cosine and sine of random angles, for positions `from` to `to`; poison before them. */
function randomRope(random: Random, half: number, from: number, to: number) {
  const table = poisonedFloats((to + 1) * half * 2);
  for (let i = from * half; i < (to + 1) * half; i++) {
    const angle = random.float(Math.PI);
    table.set([Math.cos(angle), Math.sin(angle)], 2 * i);
  }
  return table;
}

/** Constants with which queries grow: by a third at position 8, by half at 16. */
export const GROWTH = { QUERY_BETA: 0.5, ORIGINAL: 8 };
/** Constants with which they do not. */
export const NO_GROWTH = { QUERY_BETA: 0, ORIGINAL: 1 };

/** What a query is multiplied by. */
export function growthAt(position: number, { QUERY_BETA, ORIGINAL } = GROWTH): number {
  return 1 + QUERY_BETA * Math.log(1 + Math.floor(position / ORIGINAL));
}

/**
 * How far what a query is multiplied by may be off, relatively: a logarithm by 3 units in the last place, or 2^-21 from
 * 1/2 to 2 (WGSL, "Floating Point Accuracy"), then two roundings and that of the product.
 */
export function growthError({ QUERY_BETA } = GROWTH): number {
  return QUERY_BETA === 0 ? 0 : QUERY_BETA * 2 ** -21 + 9 * U;
}

/** Where the members of a qkv stand, and how positions turn. */
export interface Places {
  /** Position of row 0. */
  readonly base: number;
  /** Of each member. */
  readonly depths: readonly number[];
  /** [position][half] pairs of cosine and sine. */
  readonly rope: Float32Array<ArrayBuffer>;
  /** How queries grow with them. */
  readonly growth: typeof GROWTH;
}

const CAPACITY = 45;

/** Some place, and some turns. */
function randomPlaces(random: Random, half: number): Places {
  const base = random.between(0, 3 * CAPACITY);
  const rope = randomRope(random, half, base, base + MAX_ROWS - 1);
  return { base, depths: random.shuffled(MAX_ROWS), rope, growth: GROWTH };
}

/** norm · qkv · rope, and the commit of what the pass before accepted. */
export function qkv(
  random: Random,
  harness: Harness,
  shape: ProductShape,
  { heads, kvHeads, half }: Heads,
  { base, depths, rope, growth } = randomPlaces(random, half),
): Product {
  const capacity = CAPACITY;
  const operands = new Operands(random, harness, shape, (heads + 2 * kvHeads) * 2 * half, true);
  const { matrix, epsilon } = operands;
  const kernel = harness.kernel("qkv", shape, {
    K8: matrix.k8,
    HIDDEN: shape.k,
    EPSILON: epsilon,
    HEADS: heads,
    KV_HEADS: kvHeads,
    HALF: half,
    CAPACITY: capacity,
    ...growth,
  });
  const parts = cut(random, heads + 2 * kvHeads, shape.parts).map(([first, count]) => ({
    words: matrix.rows(first * 2 * half, count * 2 * half),
    part: Uint32Array.of(first, count * half),
    pairs: count * half,
  }));
  const slotPairs = 2 * kvHeads * half; // of a slot: keys, then values
  const slotWords = slotPairs * pairWords(shape.cache);

  /** A pair of a member, rotated unless it is a value: [value, error] of both dimensions. */
  function pair(member: number, head: number, i: number): [number, number][] {
    const x = operands.sum(member, head * 2 * half + i);
    const y = operands.sum(member, head * 2 * half + half + i);
    if (head >= heads + kvHeads) return [[x.value, x.error], [y.value, y.error]];
    const position = base + depths[member]!;
    const at = 2 * (position * half + i);
    const [cos, sin] = [rope[at]!, rope[at + 1]!];
    const scale = head < heads ? growthAt(position, growth) : 1;
    const turned = (a: number, b: number, c: number, s: number): [number, number] => {
      const rounding = (3 * U + growthError(growth)) * (Math.abs(a * c) + Math.abs(b * s));
      const error = rounding + Math.abs(c) * x.error + Math.abs(s) * y.error;
      return [(a * c + b * s) * scale, error * scale];
    };
    const second = turned(x.value, y.value, sin, cos);
    return [turned(x.value, y.value, cos, -sin), second];
  }

  return {
    pass(members) {
      const fresh = random.below(2);
      const commitRows = random.shuffled(MAX_ROWS).slice(random.below(MAX_ROWS + 1));
      commitRows.sort((a, b) => a - b);
      const commitBase = random.between(0, 3 * capacity);
      const rows = encodeRows(
        members.map((m) => ({ token: 0, parent: 0, depth: depths[m]! })),
        { base, half: fresh, commitBase, commitRows },
      );
      const x = operands.x(members);
      const squares = operands.squares(members);
      const q = poisonedFloats(MAX_ROWS * heads * half * 2);
      const cache = poisoned((capacity + 2 * MAX_ROWS) * slotWords);
      const old = encodeCache(shape.cache, random.floats(MAX_ROWS * slotPairs * 2));
      const slot = (which: number, row: number) => capacity + which * MAX_ROWS + row;
      cache.set(old, slot(1 - fresh, 0) * slotWords);
      const before = decodeCache(shape.cache, cache);
      return {
        jobs: parts.map(({ words, part, pairs }) => ({
          kernel,
          bindings: [words, rows, x, squares, rope, q, cache, part],
          workgroups: [harness.workgroups(Math.ceil(pairs / 2))],
        })),
        outputs: [q, cache],
        row(row) {
          const queries = new Uint32Array(q.buffer).subarray(row * heads * half * 2);
          const kept = cache.subarray(slot(fresh, row) * slotWords);
          return Uint32Array.from([
            ...queries.subarray(0, heads * half * 2),
            ...kept.subarray(0, slotWords),
          ]);
        },
        check() {
          const queries = new Expected(q.length);
          const kept = new Expected(before.length);
          const slotValues = 2 * slotPairs;
          for (let i = 0; i < MAX_ROWS * slotValues; i++) {
            const at = slot(1 - fresh, 0) * slotValues + i;
            kept.set(at, before[at]!);
          }
          commitRows.forEach((row, i) => {
            const from = slot(1 - fresh, row) * slotValues;
            const to = (commitBase + i) % capacity * slotValues;
            for (let j = 0; j < slotValues; j++) kept.set(to + j, before[from + j]!);
          });
          members.forEach((member, row) => {
            for (let head = 0; head < heads + 2 * kvHeads; head++) {
              for (let i = 0; i < half; i++) {
                pair(member, head, i).forEach(([value, error], side) => {
                  if (head < heads) {
                    queries.set(((row * heads + head) * half + i) * 2 + side, value, error);
                  } else {
                    const at = slot(fresh, row) * slotPairs + (head - heads) * half + i;
                    const rounding = cacheError(shape.cache, Math.abs(value) + error);
                    kept.set(2 * at + side, value, error + rounding);
                  }
                });
              }
            }
          });
          const what = `${members.length} rows at ${base}, half ${fresh}, commit of ` +
            `${commitRows.length} at ${commitBase}, capacity ${capacity}`;
          queries.check(`queries of ${what}`, q, heads, half, 2);
          const found = decodeCache(shape.cache, cache);
          kept.check(`cache of ${what}`, found, 2, kvHeads, half, 2);
        },
      };
    },
  };
}
