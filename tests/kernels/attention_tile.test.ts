import { type AttentionRules, attentionTile } from "../../kernels/attention_tile.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { assert, assertEquals } from "@std/assert";

/** Bytes of workgroup memory that lib/attention.wgsl declares with what attend.wgsl or prompt/attend.wgsl adds. */
function workgroupBytes({ POOL, FOUND, SUMS }: Record<string, number>): number {
  const quadsAtWork = 2 * 4 * 16;
  return 16 * POOL! + 32 * FOUND! + quadsAtWork + Math.max(32 * SUMS!, 8 * 4 * MAX_ROWS);
}

const devices: readonly AttentionRules[] = [
  { vector: 8, isSoftware: true, sharers: 1 },
  { vector: 4, isSoftware: true, sharers: 1 },
  { vector: null, isSoftware: true, sharers: 1 },
  { vector: null, isSoftware: false, sharers: 1 },
  { vector: null, isSoftware: false, sharers: 4 },
];

Deno.test("attentionTile() keeps to what every device has, for all head sizes", () => {
  for (const rules of devices) {
    for (let half = 1; half <= 160; half++) {
      for (const mostQuads of [1, 2] as const) {
        const { queries, constants } = attentionTile(half, rules, mostQuads);
        const { PAIRS, THREADS, SHARERS, TILE, SCORERS, FOUND, QUADS, COMBINERS } = constants;
        const what = JSON.stringify({ ...rules, half, constants });
        assert(workgroupBytes(constants) <= 16384, what);
        assert(Math.max(THREADS!, COMBINERS!) <= 256, what);
        assert(PAIRS! >= half && PAIRS! % (rules.vector ? 4 : 16 * SHARERS!) === 0, what);
        assert(TILE! >= half && COMBINERS! >= TILE!, what);
        assert(rules.vector || THREADS! >= TILE!, what);
        assert(SCORERS! <= THREADS!, what);
        assert(FOUND! >= SCORERS! && (THREADS! / TILE! < 2 || FOUND! >= TILE!), what);
        assertEquals(queries, 4 * QUADS!, what);
        for (const n of [THREADS, SHARERS, TILE, SCORERS, COMBINERS]) {
          assertEquals(Math.log2(n!) % 1, 0, what);
        }
      }
    }
  }
});

Deno.test("attentionTile() takes two quads together where heads have 128 dimensions", () => {
  for (const rules of devices) assertEquals(attentionTile(64, rules, 2).queries, 8);
});
