import { assertEquals } from "@std/assert";
import { chain, rowWords } from "../../decode/rows.ts";
import { encodeRows, ROWS } from "../kernels/rows.ts";

Deno.test("rowWords() lays out a pass as the kernels' tests do", () => {
  for (const rows of [chain(7, []), chain(7, [8, 9]), chain(1, new Array(31).fill(2))]) {
    for (const base of [0, 5, 30_000]) {
      const words = rowWords(rows, base);
      const expected = encodeRows(rows, { base });
      assertEquals(words.length, expected.length);
      for (const field of ["count", "base", "half", "commitCount"] as const) {
        assertEquals([field, words[ROWS[field]]], [field, expected[ROWS[field]]]);
      }
      for (const field of [ROWS.token, ROWS.parent, ROWS.depth]) {
        const of = (all: Uint32Array) => all.slice(field, field + rows.length);
        assertEquals(of(words), of(expected));
      }
    }
  }
});
