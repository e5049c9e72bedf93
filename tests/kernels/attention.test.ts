import { chain } from "../../decode/rows.ts";
import { CHUNK, MAX_ROWS } from "../../kernels/stages.ts";
import { seeded } from "../random.ts";
import { Attention, type AttentionShape } from "./attention.ts";
import { assertSameBits, Harness } from "./harness.ts";
import { partOf, pathTo, randomTree } from "./rows.ts";

const device = await Harness.open();
const gpu = await Harness.likeGpu();
Deno.test.afterAll(() => [device, gpu].forEach((each) => each[Symbol.dispose]()));

const ALL = 0xffffffff; // no window, as model/forward.ts says it

/** Shapes, and how long the pasts are that they are tried with. */
const cases: (AttentionShape & { lengths: number[] })[] = [
  // One query head a key head; the past is empty, or ends around the first chunk's edge.
  {
    heads: 3,
    kvHeads: 3,
    half: 5,
    window: ALL,
    capacity: 180,
    cache: "f16",
    lengths: [0, 126, 128],
  },
  // Two; several chunks.
  { heads: 4, kvHeads: 2, half: 8, window: ALL, capacity: 420, cache: "f32", lengths: [1, 383] },
  // Three; a window that is shorter than the pass, and one that begins in the middle of a chunk.
  { heads: 6, kvHeads: 2, half: 5, window: 3, capacity: 70, cache: "f32", lengths: [0, 20, 250] },
  { heads: 3, kvHeads: 1, half: 16, window: 100, capacity: 140, cache: "f16", lengths: [70, 300] },
  // Four; the ring holds exactly a window.
  { heads: 4, kvHeads: 1, half: 64, window: 128, capacity: 128, cache: "f16", lengths: [127, 500] },
  // Five: a quad of heads and one head more.
  { heads: 10, kvHeads: 2, half: 5, window: 130, capacity: 131, cache: "f16", lengths: [255, 400] },
  // Eight; more pairs than half of the threads.
  { heads: 8, kvHeads: 1, half: 80, window: 257, capacity: 300, cache: "f32", lengths: [256] },
  // More pairs than threads.
  { heads: 2, kvHeads: 1, half: 160, window: ALL, capacity: 200, cache: "f16", lengths: [130] },
  // So many chunks that threads take several in turns.
  { heads: 1, kvHeads: 1, half: 128, window: ALL, capacity: 1200, cache: "f16", lengths: [1150] },
];

// A GPU's kernels take longest to compile where a CPU plays it: those with heads of their own sizes are enough.
const kinds = [
  { kernels: "the device's", harness: device, cases },
  {
    kernels: "a GPU's",
    harness: gpu,
    cases: cases.filter(({ half, window }) => half > 8 || window < 5),
  },
];

function nameOf({ heads, kvHeads, half, window, cache }: AttentionShape, kernels: string): string {
  const seen = window === ALL ? "no window" : `window ${window}`;
  return `${kernels} kernels, ${heads} heads on ${kvHeads} of ${2 * half}, ${seen}, ${cache}`;
}

for (const { kernels, harness, cases } of kinds) {
  for (const { lengths, ...shape } of cases) {
    Deno.test(
      `attend, combine: right, and the same in a tree as on a committed past (${
        nameOf(shape, kernels)
      })`,
      seeded(async (random) => {
        const attention = new Attention(
          random,
          harness,
          shape,
          Math.max(...lengths) + MAX_ROWS - 1,
        );
        for (const length of lengths) {
          const past = Array.from({ length }, () => attention.memory());
          const count = random.pick([1, 2, 7, 11, MAX_ROWS]);
          const rows = random.chance(0.3)
            ? chain(0, Array(count - 1).fill(0))
            : randomTree(random, count, () => 0);
          const queries = rows.map(() => attention.query());
          const tree = attention.pass(past, rows, queries);
          const plain = rows.map((_, row) => {
            const ancestors = pathTo(rows, row).slice(0, -1).map((i) => queries[i]!.memory);
            return attention.pass([...past, ...ancestors], chain(0, []), [queries[row]!]);
          });
          const all = [tree, ...plain];
          await harness.run(all.flatMap((pass) => pass.jobs), all.flatMap((pass) => pass.outputs));
          for (const pass of all) pass.check();
          rows.forEach(({ depth }, row) => {
            const what =
              `row ${row} of ${count} at depth ${depth} after ${length} beside a plain step`;
            assertSameBits(what, tree.row(row), plain[row]!.row(0));
          });
        }
      }),
    );

    Deno.test(
      `promptAttend: right, and the same in any chunk (${nameOf(shape, kernels)})`,
      seeded(async (random) => {
        const longest = Math.max(...lengths) + 129;
        // A ring that just holds a chunk and what its first row sees.
        const capacity = shape.window === ALL ? longest + 1 : shape.window + 129;
        const attention = new Attention(random, harness, { ...shape, capacity }, longest);
        for (const [i, length] of lengths.entries()) {
          const past = Array.from({ length }, () => attention.memory());
          const count = [random.pick([63, 64, 65, 130]), 1, 33][i]!;
          const queries = Array.from({ length: count }, () => attention.query());
          const whole = attention.chunk(past, length, queries);
          const before = [...past, ...queries.map((query) => query.memory)];
          const from = random.below(count);
          const piece = attention.chunk(before, length + from, queries.slice(from));
          const alone = [0, from, count - 1].map((row) => ({
            row,
            chunk: attention.chunk(before, length + row, [queries[row]!]),
          }));
          const all = [whole, piece, ...alone.map(({ chunk }) => chunk)];
          await harness.run(all.flatMap((pass) => pass.jobs), all.flatMap((pass) => pass.outputs));
          whole.check();
          for (let row = from; row < count; row++) {
            const what = `row ${row} of ${count} beside the same in a chunk from row ${from} on`;
            assertSameBits(what, piece.row(row - from), whole.row(row));
          }
          for (const { row, chunk } of alone) {
            assertSameBits(`row ${row} of ${count} alone`, chunk.row(0), whole.row(row));
          }
        }
      }),
    );
  }

  for (const { lengths, ...shape } of cases.filter(({ window }) => window <= 100)) {
    Deno.test(
      `attend, combine: a row is the same in trees of 1 to 32 rows (${nameOf(shape, kernels)})`,
      seeded(async (random) => {
        const length = random.pick(lengths);
        const longest = Math.max(...lengths) + MAX_ROWS - 1; // as above, so that the same kernels are asked for
        const attention = new Attention(random, harness, shape, longest);
        const past = Array.from({ length }, () => attention.memory());
        const rows = randomTree(random, MAX_ROWS, () => 0);
        const queries = rows.map(() => attention.query());
        const whole = attention.pass(past, rows, queries);
        const smaller = Array.from({ length: MAX_ROWS }, (_, i) => {
          const { part, from } = partOf(random, rows, i + 1);
          return { from, pass: attention.pass(past, part, from.map((row) => queries[row]!)) };
        });
        const all = [whole, ...smaller.map(({ pass }) => pass)];
        await harness.run(all.flatMap((pass) => pass.jobs), all.flatMap((pass) => pass.outputs));
        whole.check();
        for (const { from, pass } of smaller) {
          from.forEach((before, row) => {
            const what = `row ${row} of ${from.length} after ${length} beside row ${before} of all`;
            assertSameBits(what, pass.row(row), whole.row(before));
          });
        }
      }),
    );
  }
}

Deno.test(
  "attend, combine: more chunks than threads, wherever the highest score is",
  seeded(async (random) => {
    // A GPU has 256 threads; so many chunks would be 32,768 tokens.
    const [length, combiners] = [1151, 4];
    const shape = { heads: 1, kvHeads: 1, half: 2, window: ALL, capacity: 1200, combiners };
    const attention = new Attention(random, device, { ...shape, cache: "f32" }, length);
    const passes = [null, 3, 4, 7, 8].map((chunk) => {
      const past = Array.from({ length }, () => attention.memory());
      const query = attention.query();
      if (chunk !== null) {
        // A key along the query, of score 300. The others have 120 at most: next to it e^(score) is more than f32 holds.
        const square = query.q.reduce((sum, value) => sum + value ** 2, 0);
        past[CHUNK * chunk + random.below(127)]!.set(query.q.map((value) => 600 / square * value));
      }
      return attention.pass(past, chain(0, []), [query]);
    });
    await device.run(passes.flatMap(({ jobs }) => jobs), passes.flatMap(({ outputs }) => outputs));
    for (const pass of passes) pass.check();
  }),
);
