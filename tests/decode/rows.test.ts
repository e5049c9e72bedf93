import { assert, assertEquals } from "@std/assert";
import { chain, rowWords } from "../../decode/rows.ts";
import { POISON } from "../kernels/harness.ts";
import { encodeRows, ROWS } from "../kernels/rows.ts";

Deno.test("rowWords() lays out a pass as the kernels' tests do", () => {
  for (const rows of [chain(7, []), chain(7, [8, 9]), chain(1, new Array(31).fill(2))]) {
    for (const base of [0, 5, 30_000]) {
      for (const committed of [0, 1, 5]) {
        const words = rowWords(rows, base + committed, committed);
        const before = {
          half: 1,
          commitBase: base,
          commitRows: [0, 1, 2, 3, 4].slice(0, committed),
        };
        const expected = encodeRows(rows, { base: base + committed, ...(committed && before) });
        assertEquals(words.length, expected.length);
        const isSame = (word: number, i: number) => word === expected[i] || expected[i] === POISON;
        assert(words.every(isSame), `${words}\nin place of\n${expected}`);
        assertEquals(words[ROWS.commitCount], committed);
      }
    }
  }
});
