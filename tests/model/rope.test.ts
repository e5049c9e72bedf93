/** The rotary embedding's frequencies against those of Hugging Face transformers (tools/make_newer_fixtures.py). */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { parseConfig } from "../../model/config.ts";
import { ropeFrequencies, ropeTable } from "../../model/rope.ts";
import { U } from "../kernels/numbers.ts";

interface Case {
  readonly config: { readonly rope_parameters: Record<string, unknown> };
  readonly frequencies: readonly number[];
  readonly attentionFactor: number;
}

const stored = new URL("../fixtures/rope.json", import.meta.url);
const { cases }: { cases: readonly Case[] } = JSON.parse(await Deno.readTextFile(stored));

/** The table of a position is of the angles that are f32 products, with cosines as long as YaRN says. */
function assertTurns(
  table: Float32Array,
  position: number,
  frequencies: Float32Array,
  length: number,
) {
  const row = table.subarray(2 * position * frequencies.length);
  for (const [i, frequency] of frequencies.entries()) {
    const angle = Math.fround(position * frequency);
    assertEquals(row[2 * i], Math.fround(length * Math.cos(angle)), `cosine ${i} at ${position}`);
    assertEquals(row[2 * i + 1], Math.fround(length * Math.sin(angle)), `sine ${i} at ${position}`);
  }
}

for (const { config, frequencies, attentionFactor } of cases) {
  Deno.test(`frequencies are those of transformers: ${JSON.stringify(config.rope_parameters)}`, () => {
    const { headDim, ropeTheta, ropeScaling } = parseConfig(config);
    const found = ropeFrequencies(headDim, ropeTheta, ropeScaling);
    assertEquals(found.length, frequencies.length);
    for (const [i, frequency] of frequencies.entries()) {
      // Each is a few f32 operations away from a power, which two libraries round differently.
      const off = Math.abs(found[i]! - frequency) / frequency;
      assert(
        off <= 8 * U,
        `Frequency ${i} is ${found[i]} and not ${frequency}: ${off / U} roundings off.`,
      );
    }
    const length = ropeScaling?.type === "yarn" ? ropeScaling.attentionFactor : 1;
    assertAlmostEquals(length, attentionFactor, 1e-15);
    const table = ropeTable(301, headDim, ropeTheta, ropeScaling);
    for (const position of [0, 1, 300]) assertTurns(table, position, found, length);
  });
}
