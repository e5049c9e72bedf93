/**
 * Rotary position embedding against an outside program's rotations: dimensions (i, i + head_dim / 2) of a
 * head at position p are turned by p · θ^(-2i / head_dim).
 */
import { assertEquals } from "@std/assert";
import { vec2d } from "wgpu-matrix";
import { type CacheType, MAX_ROWS } from "../../kernels/stages.ts";
import { ropeTable } from "../../model/rope.ts";
import { Random, seeded } from "../random.ts";
import { Expected, Harness, poisoned, poisonedFloats } from "./harness.ts";
import { cacheError, decodeCache, pairWords, U } from "./numbers.ts";
import { GROWTH, growthAt, growthError, type Heads, NO_GROWTH, qkv } from "./qkv.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** Heads and bases; positions up to 4096 are looked up. */
const cases: (Heads & { theta: number })[] = [
  { heads: 3, kvHeads: 1, half: 5, theta: 10_000 },
  { heads: 4, kvHeads: 2, half: 8, theta: 1_000_000 },
  { heads: 2, kvHeads: 2, half: 64, theta: 10_000 },
  { heads: 6, kvHeads: 3, half: 5, theta: 100 },
];
const CONTEXT = 4096;

/** A pair turned as the paper says, and how far the rounded turn may be off: [value, error] of both. */
function turned(
  pair: readonly [number, number],
  position: number,
  i: number,
  { half, theta }: Heads & { theta: number },
): [number, number][] {
  const exponent = i / half;
  const angle = position * theta ** -exponent;
  // transformers takes exponent, power, frequency and angle in f32, and so does ropeTable.
  const angleError = angle * (exponent * Math.log(theta) + 3.1) * U;
  const length = Math.hypot(...pair);
  const bound = length * (angleError + angleError ** 2 + 6 * U);
  return [...vec2d.rotate(pair, [0, 0], angle)].map((value) => [value, bound]);
}

Deno.test("ropeTable(): angles are rounded to f32, as the models were trained, far into a text too", () => {
  const [position, dim, theta] = [30_000, 8, 10_000];
  const table = ropeTable(position + 1, dim, theta, null);
  // θ^(1/4) is 10: 30,000 times the f32 number next to a tenth, a hundredth, a thousandth is rounded to these.
  for (const [i, angle] of [[1, 3000], [2, 300], [3, 30 + 2 ** -19]] as const) {
    const at = (position * dim / 2 + i) * 2;
    assertEquals(
      [...table.subarray(at, at + 2)],
      [Math.cos(angle), Math.sin(angle)].map(Math.fround),
      `pair ${i}, an angle of ${angle}`,
    );
  }
});

for (const shape of cases) {
  const { heads, kvHeads, half, theta } = shape;
  const name = `${heads} and ${kvHeads} heads of ${2 * half}, θ ${theta}`;

  for (const cache of ["f16", "f32"] satisfies CacheType[]) {
    Deno.test(
      `promptRope: queries and keys turn, queries grow, values stay, in every slot of the ring (${name}, ${cache})`,
      seeded(async (random) => {
        const all = heads + 2 * kvHeads;
        const capacity = 41;
        const stride = all * 2 * half;
        const rope = ropeTable(CONTEXT, 2 * half, theta, null);
        const kernel = harness.kernel("promptRope", { cache }, {
          HEADS: heads,
          KV_HEADS: kvHeads,
          HALF: half,
          STRIDE: stride,
          CAPACITY: capacity,
          ...GROWTH,
        });
        const runs = [1, 2, 33, capacity].map((count) => {
          const position = random.pick([0, random.below(CONTEXT - count), CONTEXT - count]);
          return {
            count,
            position,
            x: random.floats(count * stride, 4),
            q: poisonedFloats(count * heads * half * 2),
            kept: poisoned((capacity + 2 * MAX_ROWS) * 2 * kvHeads * half * pairWords(cache)),
          };
        });
        await harness.run(
          runs.map(({ count, position, x, q, kept }) => ({
            kernel,
            bindings: [x, rope, q, kept, Uint32Array.of(count, position)],
            workgroups: [Math.ceil(all * half / 64), count],
          })),
          runs.flatMap(({ q, kept }) => [q, kept]),
        );
        for (const { count, position, x, q, kept } of runs) {
          const found = decodeCache(cache, kept);
          const queries = new Expected(q.length);
          const memories = new Expected(found.length);
          for (let row = 0; row < count; row++) {
            for (let pair = 0; pair < all * half; pair++) {
              const [head, i] = [Math.floor(pair / half), pair % half];
              const at = row * stride + head * 2 * half + i;
              const before = [x[at]!, x[at + half]!] as const;
              const after = head < heads + kvHeads
                ? turned(before, position + row, i, shape)
                : before.map((value) => [value, 0] as const);
              const growth = growthAt(position + row);
              after.forEach(([value, error], side) => {
                if (head < heads) {
                  const off = error + Math.hypot(...before) * growthError();
                  const place = ((row * heads + head) * half + i) * 2 + side;
                  queries.set(place, value * growth, off * growth);
                } else {
                  const slot = (position + row) % capacity;
                  const place = ((slot * 2 * kvHeads + head - heads) * half + i) * 2 + side;
                  const rounding = cacheError(cache, Math.abs(value) + error);
                  memories.set(place, value, error + rounding);
                }
              });
            }
          }
          const what = `${count} rows from position ${position}`;
          queries.check(`queries of ${what}`, q, heads, half, 2);
          memories.check(`cache of ${what}, capacity ${capacity}`, found, 2, kvHeads, half, 2);
        }
      }),
    );
  }

  Deno.test(
    `qkv: queries and keys turn by their positions, values stay (${name})`,
    seeded(async (random) => {
      const rope = ropeTable(CONTEXT, 2 * half, theta, null);
      const base = random.below(CONTEXT - MAX_ROWS);
      const depths = random.shuffled(MAX_ROWS);
      const sizes = { weights: "F32", cache: "f32", k: 40, outputs: 0, parts: 2 } as const;
      // The same weights and vectors twice; at position 0 nothing turns, to the bit.
      const seed = random.below(2 ** 32);
      const make = (places: { base: number; depths: number[] }) =>
        qkv(new Random(seed), harness, sizes, shape, { ...places, rope, growth: NO_GROWTH });
      const members = Array.from({ length: MAX_ROWS }, (_, member) => member);
      const still = make({ base: 0, depths: members.map(() => 0) }).pass(members);
      const moved = make({ base, depths }).pass(members);
      await harness.run([...still.jobs, ...moved.jobs], [...still.outputs, ...moved.outputs]);
      for (const member of members) {
        const before = new Float32Array(still.row(member).buffer);
        const after = new Float32Array(moved.row(member).buffer);
        const expected = new Expected(after.length);
        const position = base + depths[member]!;
        for (let pair = 0; pair < after.length / 2; pair++) {
          const head = Math.floor(pair / half);
          const v = [before[2 * pair]!, before[2 * pair + 1]!] as const;
          if (head < heads + kvHeads) {
            turned(v, position, pair % half, shape).forEach(([value, error], side) =>
              expected.set(2 * pair + side, value, error)
            );
          } else {
            v.forEach((value, side) => expected.set(2 * pair + side, value));
          }
        }
        expected.check(`row ${member} at position ${position}`, after, half, 2);
      }
    }),
  );
}
