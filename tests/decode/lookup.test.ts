import { assertEquals } from "@std/assert";
import { accept } from "../../decode/accept.ts";
import { lookup } from "../../decode/lookup.ts";
import { chain } from "../../decode/rows.ts";
import { buffers } from "./buffers.ts";
import { tracesOrNull } from "./traces.ts";

/** The rule stated through strings: every candidate is listed and the best one taken. */
function naive(tokens: readonly number[], sizes: number, drafts: number) {
  const text = (from: number, to: number) => JSON.stringify(tokens.slice(from, to));
  const candidates = [];
  for (let start = 0; start < tokens.length; start++) {
    for (let length = 1; length <= sizes; length++) {
      const next = start + length;
      const same = text(start, next) === text(tokens.length - length, tokens.length);
      const whole = tokens.slice(next, next + drafts).length === drafts;
      const earlier = next < tokens.length - length;
      if (same && whole && earlier) candidates.push({ start, length });
    }
  }
  candidates.sort((a, b) => b.length - a.length || a.start - b.start);
  const best = candidates[0];
  if (!best) return null;
  const next = best.start + best.length;
  return { ...best, tokens: tokens.slice(next, next + drafts) };
}

Deno.test("lookup equals the naive statement of the rule", () => {
  let found = 0;
  for (const tokens of buffers(3000)) {
    for (const [sizes, drafts] of [[3, 10], [3, 1], [1, 2], [5, 3], [2, 31]] as const) {
      const options = { maxMatchingNgramSize: sizes, promptLookupNumTokens: drafts };
      const match = lookup(tokens, options);
      assertEquals(match, naive(tokens, sizes, drafts), JSON.stringify({ tokens, sizes, drafts }));
      assertEquals(lookup(Uint32Array.from(tokens), options), match);
      if (match) found++;
    }
  }
  assertEquals(found > 3000, true, `only ${found} matches: the buffers test too little`);
});

Deno.test("lookup takes the first occurrence of the longest n-gram", () => {
  const tokens = [9, 1, 2, 3, 5, 5, 5, 1, 2, 3, 6, 6, 6, 2, 3, 7, 7, 7, 1, 2, 3];
  assertEquals(lookup(tokens, { promptLookupNumTokens: 3 }), {
    start: 1,
    length: 3,
    tokens: [5, 5, 5],
  });
});

Deno.test("lookup falls back to a shorter n-gram when the continuation is cut off", () => {
  const tokens = [2, 8, 8, 8, 1, 2, 9, 1, 2];
  assertEquals(lookup(tokens, { promptLookupNumTokens: 3 })?.start, 4);
  assertEquals(lookup(tokens, { promptLookupNumTokens: 4 }), {
    start: 0,
    length: 1,
    tokens: [8, 8, 8, 1],
  });
});

Deno.test("lookup finds nothing in buffers too short for it", () => {
  assertEquals(lookup([]), null);
  assertEquals(lookup([1]), null);
  assertEquals(lookup([1, 1]), null);
  assertEquals(lookup([1, 1, 1], { promptLookupNumTokens: 10 }), null);
  assertEquals(lookup([1, 1, 1], { promptLookupNumTokens: 0 }), null);
});

Deno.test("lookup reproduces the tokens per pass of the recorded answers", async (t) => {
  const traces = await tracesOrNull();
  await t.step({
    name: traces ? "replay" : "skipped: ../shared/traces is not here",
    ignore: !traces,
    fn() {
      const totals: Record<string, { tokens: number; passes: number }> = {};
      for (const { task, prompt_ids, output_ids } of traces!) {
        const total = totals[task] ??= { tokens: 0, passes: 0 };
        const text = [...prompt_ids, output_ids[0]!]; // the first token comes from the prompt pass
        const all = [...prompt_ids, ...output_ids];
        while (text.length < all.length) {
          const rows = chain(text.at(-1)!, lookup(text)?.tokens ?? []);
          const chosen = rows.map((row) => all[text.length + row.depth]!);
          text.push(...accept(rows, chosen, { limit: all.length - text.length }).tokens);
          total.passes++;
        }
        total.tokens += output_ids.length - 1;
      }
      const perPass = Object.entries(totals)
        .map(([task, { tokens, passes }]) => [task, (tokens / passes).toFixed(3)]);
      assertEquals(Object.fromEntries(perPass), {
        cnn_dm: "2.454",
        hagrid: "2.215",
        mt_bench_turn0: "1.329",
        mt_bench_turn1: "1.986",
      });
    },
  });
});
