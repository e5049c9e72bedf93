import { type CacheType, MAX_ROWS, type WeightType } from "../../kernels/stages.ts";
import { parseConfig } from "../../model/config.ts";
import { Random, seeded } from "../random.ts";
import { assertSameBits, Harness } from "./harness.ts";
import { gateUp, head, type Product, type ProductShape, project } from "./products.ts";
import { qkv } from "./qkv.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);

const gpu = await Harness.likeGpu();
const device = await Harness.open();
const harnesses = [
  gpu,
  // Where that is no CPU's vectors, its products are those of a GPU.
  ...device.compiler.vector ? [device] : [],
  await Harness.open({ subgroups: false }),
  await Harness.open({ smallestSubgroup: 4 }),
];
/** What a device may choose otherwise. */
const families = [
  [
    gpu,
    await Harness.likeGpu({ weightStorage: "texture" }),
    await Harness.likeGpu({ rowsTogether: 16, piecesTogether: 2, threads: 256 }),
    await Harness.likeGpu({ rowsTogether: 4, piecesTogether: 4, threads: 32 }),
  ],
  ...device.compiler.vector ? [[device, await Harness.open({}, { weightStorage: "buffer" })]] : [],
] as const;
Deno.test.afterAll(() => {
  for (const harness of new Set([device, ...harnesses, ...families.flat()])) {
    harness[Symbol.dispose]();
  }
});

/**
 * Every vector alone in a pass is right, and its result is the same to the bit in passes of 1 to 32 rows,
 * wherever it stands in them.
 */
async function check(random: Random, harness: Harness, product: Product): Promise<void> {
  const alone = Array.from({ length: MAX_ROWS }, (_, member) => product.pass([member]));
  const passes = alone.map((_, i) => {
    const members = random.shuffled(MAX_ROWS).slice(0, i + 1);
    return { members, pass: product.pass(members) };
  });
  const all = [...alone, ...passes.map(({ pass }) => pass)];
  await harness.run(all.flatMap((pass) => pass.jobs), all.flatMap((pass) => pass.outputs));
  for (const pass of all) pass.check();
  for (const { members, pass } of passes) {
    members.forEach((member, row) => {
      const what = `row ${row} of ${members.length} beside the same row alone`;
      assertSameBits(what, pass.row(row), alone[member]!.row(0));
    });
  }
}

type Make = (random: Random, harness: Harness, shape: ProductShape) => Product;

const stages: Record<string, Make> = {
  "qkv, 6 and 2 heads of 10": (random, harness, shape) =>
    qkv(random, harness, { ...shape, parts: 4 }, { heads: 6, kvHeads: 2, half: 5 }),
  "qkv, 5 heads and 1 of 16": (random, harness, shape) =>
    qkv(random, harness, { ...shape, cache: "f32", k: 43 }, { heads: 5, kvHeads: 1, half: 8 }),
  "gate_up": (random, harness, shape) => gateUp(random, harness, { ...shape, outputs: 43 }),
  "project": (random, harness, shape) => project(random, harness, { ...shape, k: 77 }),
  "head": head,
};

for (const harness of harnesses) {
  for (const weights of ["BF16", "F16", "F32", "F8", "Q8", "Q4"] satisfies WeightType[]) {
    for (const [name, make] of Object.entries(stages)) {
      // Lanes and weight types have nothing to do with each other: one stage shows it.
      if (harness !== gpu && weights !== "BF16" && name !== "project") continue;
      Deno.test(
        `${name}: right, and the same in any company (${weights}, ${harness.lanes})`,
        seeded(async (random) => {
          const cache: CacheType = "f16";
          const shape = { weights, cache, k: 300, outputs: 259, parts: 3 };
          await check(random, harness, make(random, harness, shape));
        }),
      );
    }
  }
}

for (
  const [name, make, family] of families.flatMap((family) =>
    Object.entries(stages).map(([name, make]) => [name, make, family] as const)
  )
) {
  Deno.test(
    `${name}: the same with weights elsewhere, other rows in registers … (${family[0].lanes})`,
    seeded(async ({ seed }) => {
      const weights = new Random(seed).pick(["BF16", "F16", "F32", "F8", "Q8", "Q4"] as const);
      const shape = { weights, cache: "f16", k: 300, outputs: 259, parts: 3 } as const;
      const all = family.map((harness) => ({
        harness,
        product: make(new Random(seed), harness, shape),
      }));
      for (const { harness, product } of all.slice(1)) {
        await check(new Random(seed), harness, product);
      }
      for (const rows of [1, 2, 4, 5, 8, 9, 13, 16, 32]) {
        const members = Array.from({ length: rows }, (_, i) => i);
        const passes = all.map(({ harness, product }) => ({
          harness,
          pass: product.pass(members),
        }));
        for (const { harness, pass } of passes) await harness.run(pass.jobs, pass.outputs);
        for (const row of members) {
          const [expected, ...found] = passes.map(({ pass }) => pass.row(row));
          for (const bits of found) assertSameBits(`row ${row} of ${rows}`, bits, expected!);
        }
      }
    }),
  );
}

for await (const { name, isDirectory } of Deno.readDir(FIXTURES)) {
  if (!isDirectory) continue;
  const json = await Deno.readTextFile(new URL(`${name}/config.json`, FIXTURES));
  const config = parseConfig(JSON.parse(json));
  const { hiddenSize, intermediateSize, vocabSize, headDim, numKeyValueHeads: kvHeads } = config;
  const heads = config.numAttentionHeads;
  Deno.test(
    `qkv, gate_up, project, head: right, and the same in any company (sizes of ${name})`,
    seeded(async (random) => {
      const harness = random.pick(harnesses);
      const shape = {
        weights: random.pick(["BF16", "F16", "F32", "F8", "Q8", "Q4"] as const),
        cache: random.pick(["f16", "f32"] as const),
        k: hiddenSize,
        parts: 2,
      };
      const products = {
        qkv: qkv(random, harness, { ...shape, outputs: 0 }, { heads, kvHeads, half: headDim / 2 }),
        gateUp: gateUp(random, harness, { ...shape, outputs: intermediateSize }),
        out: project(random, harness, { ...shape, k: heads * headDim, outputs: hiddenSize }),
        down: project(random, harness, { ...shape, k: intermediateSize, outputs: hiddenSize }),
        head: head(random, harness, { ...shape, outputs: vocabSize }),
      };
      for (const product of Object.values(products)) await check(random, harness, product);
    }),
  );
}
