/** The sums of 64 bits in kernels/lib/threshold.wgsl, against BigInt. (sample_draws.test.ts: what they are for.) */
import { stageSource } from "../../kernels/stages.ts";
import type { Kernel } from "../../kernels/compiler.ts";
import { seeded } from "../random.ts";
import { assertSameBits, Harness, poisoned } from "./harness.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

const THREADS = 256;
/** Threads that add to one bin. */
const TOGETHER = 8;

const SUMS = `
@group(0) @binding(0) var<storage, read> pairs: array<vec4u>; // two amounts
@group(0) @binding(1) var<storage, read_write> results: array<vec2u>; // four for each pair

@compute @workgroup_size(${THREADS})
fn sums_of_pairs(@builtin(local_invocation_index) thread: u32) {
  let a = pairs[thread].xy;
  let b = pairs[thread].zw;
  let bin = thread / ${TOGETHER}u;
  add(bin, a);
  add(bin, b);
  workgroupBarrier();
  results[4u * thread] = plus(a, b);
  results[4u * thread + 1u] = minus(a, b);
  results[4u * thread + 2u] = vec2u(u32(is_less(a, b)), 0u);
  results[4u * thread + 3u] = vec2u(atomicLoad(&bins[bin][0]), atomicLoad(&bins[bin][1]));
}
`;

/** The sampler's text with another entry point. */
function sumsKernel(): Kernel {
  const target = { lanes: "workgroup", vector: null, convertsF16: true } as const;
  const code = stageSource("sample", {}, target) + SUMS;
  return harness.kernelOf(code, "sums_of_pairs", { VOCAB: 1, SLICES: 1, SAMPLERS: THREADS });
}

Deno.test(
  "sample: amounts of 64 bits add up, are taken away and compare as integers do, whoever adds first",
  seeded(async (random) => {
    const kernel = sumsKernel();
    const words = [0, 0, 1, 2 ** 31, 2 ** 32 - 1];
    const word = () => random.chance(0.5) ? random.pick(words) : random.below(2 ** 32);
    const amount = (low: number, high: number) => BigInt(low) | BigInt(high) << 32n;
    const jobs = Array.from({ length: 8 }, () => {
      const pairs = Uint32Array.from({ length: 4 * THREADS }, word);
      // Some that differ in one word alone, or in none.
      for (let i = 0; i < pairs.length; i += 4) {
        if (random.chance(0.2)) pairs[i + 2] = pairs[i]!;
        if (random.chance(0.3)) pairs[i + 3] = pairs[i + 1]!;
      }
      const results = poisoned(8 * THREADS);
      return { kernel, bindings: [pairs, results], workgroups: [1] as const, pairs, results };
    });
    await harness.run(jobs, jobs.map(({ results }) => results));
    for (const { pairs, results } of jobs) {
      const bins = new BigUint64Array(THREADS / TOGETHER);
      const amounts = Array.from({ length: THREADS }, (_, i) => {
        const [a, b] = [0, 2].map((side) => amount(pairs[4 * i + side]!, pairs[4 * i + side + 1]!));
        bins[Math.floor(i / TOGETHER)]! += a! + b!;
        return [a!, b!] as const;
      });
      const expected = new BigUint64Array(4 * THREADS);
      amounts.forEach(([a, b], i) =>
        expected.set([a + b, a - b, BigInt(a < b), bins[Math.floor(i / TOGETHER)]!], 4 * i)
      );
      const what = () => `The sum, the difference, whether it is less, and the bin of ${pairs}`;
      assertSameBits(what, results, new Uint32Array(expected.buffer), 4, 2);
    }
  }),
);
