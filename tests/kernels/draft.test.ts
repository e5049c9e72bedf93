/** The drafter against its specification, lookup() in decode/lookup.ts. */
import { assert } from "@std/assert";
import { lookup } from "../../decode/lookup.ts";
import { chain } from "../../decode/rows.ts";
import { initialState, STOPS } from "../../decode/state.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { buffers } from "../decode/buffers.ts";
import { type Random, seeded } from "../random.ts";
import { assertSameBits, Harness, poisoned } from "./harness.ts";
import { ROWS } from "./rows.ts";
import { makeText } from "./texts.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** What a step finds. */
interface Case {
  /** Prompt and answer so far. */
  text: number[];
  /** Tokens of an earlier generation that still stand behind the text. */
  stale: number[];
  maxNgram: number;
  numDraft: number;
  /** Length at which to stop. */
  limit: number;
  step: number;
  stop: typeof STOPS[number];
}

function makeCase(random: Random, text: number[]): Case {
  return {
    text,
    stale: text.concat(text).slice(random.below(text.length)).slice(0, 40),
    maxNgram: random.pick([1, 2, 3, 15, random.between(1, 15)]),
    numDraft: random.pick([0, 1, 10, 31, random.between(0, MAX_ROWS - 1)]),
    limit: text.length + random.pick([1, 2, random.between(1, 40), 1000]),
    step: random.pick([0, 1, random.below(1e6)]),
    stop: random.chance(0.03) ? random.pick(["eos", "length"] as const) : null,
  };
}

/** The rows and the drafts' sources as the kernel should leave them, poison where it should not write. */
function specified({ text, maxNgram, numDraft, limit, step, stop }: Case) {
  const rows = poisoned(ROWS.words);
  const sources = poisoned(2 * MAX_ROWS);
  if (stop) {
    rows[ROWS.count] = rows[ROWS.commitCount] = 0;
    return { rows, sources };
  }
  const match = lookup(text, {
    maxMatchingNgramSize: maxNgram,
    promptLookupNumTokens: numDraft,
  });
  // A pass yields one token more than it accepts: the last drafts before the limit would be in vain.
  const drafts = match?.tokens.slice(0, limit - text.length - 1) ?? [];
  const pass = chain(text.at(-1)!, drafts);
  rows[ROWS.count] = pass.length;
  pass.forEach(({ token, parent, depth }, row) => {
    rows[ROWS.token + row] = token;
    rows[ROWS.parent + row] = parent;
    rows[ROWS.depth + row] = depth;
  });
  rows[ROWS.base] = text.length - 1;
  rows[ROWS.half] = step % 2;
  for (let row = 1; row < pass.length; row++) {
    sources.set([match!.start + match!.length, match!.length], 2 * row);
  }
  return { rows, sources };
}

/** Runs all cases in one submission, and counts those in which something was found. */
async function check(cases: readonly Case[]): Promise<number> {
  const kernel = harness.kernel("draft", {}, {});
  const runs = cases.map((c) => {
    const state = initialState(c.text.length, c.limit, c.stop);
    state[3] = c.step;
    return {
      state,
      tokens: Uint32Array.from([...c.text, ...c.stale]),
      rows: poisoned(ROWS.words),
      sources: poisoned(2 * MAX_ROWS),
      options: Uint32Array.of(c.maxNgram, c.numDraft),
    };
  });
  await harness.run(
    runs.map(({ state, tokens, rows, sources, options }) => ({
      kernel,
      bindings: [state, tokens, rows, sources, options],
      workgroups: [1],
    })),
    runs.flatMap(({ rows, sources }) => [rows, sources]),
  );
  let found = 0;
  runs.forEach(({ rows, sources }, i) => {
    const c = cases[i]!;
    const expected = specified(c);
    const shown = () => Deno.inspect(c, { iterableLimit: 2000, breakLength: 120 });
    assertSameBits(() => `Rows for ${shown()}`, rows, expected.rows);
    assertSameBits(() => `The sources for ${shown()}`, sources, expected.sources);
    if (rows[ROWS.count]! > 1) found++;
  });
  return found;
}

Deno.test(
  "draft equals its specification on short texts that break drafters",
  seeded(async (random) => {
    const texts = [...buffers(1000, 100)].filter((text) => text.length > 0);
    const found = await check(texts.map((text) => makeCase(random, text)));
    assert(found > texts.length / 8, `only ${found} of ${texts.length} texts had a match`);
  }),
);

Deno.test(
  "draft equals its specification on random long texts",
  seeded(async (random) => {
    const cases = Array.from({ length: 1500 }, () => makeCase(random, makeText(random)));
    const found = await check(cases);
    assert(found > cases.length / 4, `only ${found} of ${cases.length} texts had a match`);
    await check(Array.from({ length: 20 }, () => makeCase(random, makeText(random, 150_000))));
  }),
);

Deno.test(
  "draft equals its specification for every size of n-gram and number of drafts",
  seeded(async (random) => {
    const cases: Case[] = [];
    for (let maxNgram = 1; maxNgram <= 15; maxNgram++) {
      for (let numDraft = 0; numDraft < MAX_ROWS; numDraft++) {
        cases.push({ ...makeCase(random, makeText(random)), maxNgram, numDraft, stop: null });
      }
    }
    await check(cases);
  }),
);
