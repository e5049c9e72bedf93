/** The tree drafter against its specification, draftTree() in decode/tree.ts, over the steps of generations. */
import { assert } from "@std/assert";
import { accept } from "../../decode/accept.ts";
import { initialState, STOPS } from "../../decode/state.ts";
import {
  type DrafterState,
  draftTree,
  INITIAL_STATE,
  kindOf,
  MAX_BIAS,
} from "../../decode/tree.ts";
import {
  CANDIDATES_BYTES,
  fixedCost,
  initialMemory,
  MEMORY_BYTES,
  treeOptions,
} from "../../decode/tree_buffers.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { buffers } from "../decode/buffers.ts";
import { type Random, seeded } from "../random.ts";
import { assertSameBits, type Data, Harness, type Job, poisoned } from "./harness.ts";
import { ROWS } from "./rows.ts";
import { makeText } from "./texts.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

/** A generation. */
interface Case {
  /** Prompt and answer. */
  text: number[];
  /** Tokens of the prompt. */
  prompt: number;
  numDraft: number;
  rowCosts: number[];
  /** Which tokens write the same word, [larger than any token]. */
  words: Uint32Array<ArrayBuffer>;
  /** What was learned before. */
  bias: readonly number[];
  /** Length at which to stop. */
  limit: number;
}

function makeCase(random: Random, text: number[]): Case {
  const price = random.pick([0, 0.03, 0.1, 0.4, 3]);
  let cost = 1;
  const rowCosts = Array.from({ length: MAX_ROWS }, (_, i) => {
    if (i > 0) cost += price * random.pick([0, 1, Math.abs(random.float(1))]);
    return Math.min(cost, 63);
  });
  const prompt = random.between(1, text.length);
  const limit = text.length + random.pick([0, 1, 2, 1000]);
  const size = random.pick([1, 1, 2, 5]);
  const someBias = () => random.pick([-MAX_BIAS, MAX_BIAS, random.between(-MAX_BIAS, MAX_BIAS)]);
  return {
    text,
    prompt,
    bias: random.chance(0.5) ? INITIAL_STATE.bias : INITIAL_STATE.bias.map(someBias),
    words: Uint32Array.from({ length: Math.max(...text) + 1 }, (_, token) => {
      return token - random.below(Math.min(size, token + 1));
    }),
    numDraft: random.pick([0, 1, 10, 31, 31, random.between(0, 31)]),
    rowCosts,
    limit: Math.max(limit, prompt + 1),
  };
}

/** One step of a generation: where it stands, and what the drafter should make of it. */
interface Step {
  length: number;
  draft: ReturnType<typeof draftTree>;
}

/** The first steps of a generation, at most so many. */
function steps(
  { text, prompt, numDraft, rowCosts, words, bias, limit }: Case,
  most: number,
): Step[] {
  const all: Step[] = [];
  let state: DrafterState = { ...INITIAL_STATE, bias };
  for (let length = prompt; length <= text.length && length < limit && all.length < most;) {
    const options = { numDraft, limit, words, rowCosts: rowCosts.map(fixedCost) };
    const draft = draftTree(text.slice(0, length), state, options);
    all.push({ length, draft });
    state = draft.state;
    const chosen = draft.rows.map(({ depth }) => text[length + depth] ?? -1);
    length += accept(draft.rows, chosen).tokens.length;
  }
  return all;
}

/** The rows and sources as a step should leave them, poison where it should not write. */
function specified({ length, draft }: Step, step: number) {
  const rows = poisoned(ROWS.words);
  const sources = poisoned(2 * MAX_ROWS);
  rows[ROWS.count] = draft.rows.length;
  rows[ROWS.base] = length - 1;
  rows[ROWS.half] = step % 2;
  draft.rows.forEach(({ token, parent, depth }, row) => {
    rows[ROWS.token + row] = token;
    rows[ROWS.parent + row] = parent;
    rows[ROWS.depth + row] = depth;
    if (row > 0) sources.set([draft.sources[row]!, draft.ngrams[row]!], 2 * row);
  });
  return { rows, sources };
}

/** `Memory` as a generation's last step should leave it. */
function memoryOf({ length, source, bias, grown }: DrafterState): Data {
  const drafts = grown.flatMap((draft) => [
    draft.token,
    draft.parent,
    draft.source,
    kindOf(draft.evidence),
    draft.probability,
  ]);
  return new Uint32Array(
    Int32Array.from([length, source, ...bias, grown.length, ...drafts]).buffer,
  );
}

/** The jobs of a step, and what they are bound to. */
function jobsOf(run: Record<typeof BOUND[number], Data>): Job[] {
  const { state, tokens, rows, sources, memory, candidates, keys, options, words, text } = run;
  return [
    {
      kernel: harness.kernel("treeCandidates", {}, {}),
      bindings: [state, tokens, memory, keys, candidates, options, words, text],
      workgroups: [1],
    },
    {
      kernel: harness.kernel("treeGrow", {}, {}),
      bindings: [state, tokens, rows, sources, memory, candidates, options],
      workgroups: [1],
    },
  ];
}

const BOUND = [
  "state",
  "tokens",
  "rows",
  "sources",
  "memory",
  "candidates",
  "keys",
  "options",
  "words",
  "text",
] as const;

/** Runs the first steps of all cases in one submission; returns how many drafts there were. */
async function check(random: Random, cases: readonly Case[], most = 6): Promise<number> {
  const runs = cases.flatMap((c) => {
    const memory = new Uint32Array(initialMemory().buffer);
    memory.set(c.bias, 2);
    const options = new Uint32Array(treeOptions(c.numDraft, c.rowCosts).buffer);
    const text = poisoned(c.text.length);
    const stale = Array.from({ length: 40 }, () => random.pick(c.text));
    return steps(c, most).map((step) => ({
      c,
      step,
      memory,
      options,
      words: c.words,
      text,
      state: initialState(step.length, c.limit),
      tokens: Uint32Array.from([...c.text.slice(0, step.length), ...stale]),
      rows: poisoned(ROWS.words),
      sources: poisoned(2 * MAX_ROWS),
      candidates: poisoned(CANDIDATES_BYTES / 4),
      keys: poisoned(step.length + stale.length),
    }));
  });
  runs.forEach((run, i) => run.state[3] = i);
  const outputs = new Set<Data>(runs.flatMap((run) => [run.rows, run.sources, run.memory]));
  await harness.run(runs.flatMap(jobsOf), [...outputs]);
  let drafts = 0;
  runs.forEach(({ c, step, rows, sources, memory }, i) => {
    const shown = () =>
      `${Deno.inspect(c, { iterableLimit: 2000, breakLength: 120 })}, length ${step.length}`;
    const expected = specified(step, i);
    // What was grown beyond the cut stays in the rows, where nobody looks.
    const count = Math.min(rows[ROWS.count]!, MAX_ROWS);
    for (const data of [rows, expected.rows]) {
      for (const field of [ROWS.token, ROWS.parent, ROWS.depth]) {
        data.fill(0, field + count, field + MAX_ROWS);
      }
    }
    for (const data of [sources, expected.sources]) data.fill(0, 2 * count);
    assertSameBits(() => `Rows for ${shown()}`, rows, expected.rows);
    assertSameBits(() => `Sources for ${shown()}`, sources, expected.sources);
    drafts += count - 1;
    if (runs[i + 1]?.c === c) return;
    const remembered = memoryOf(step.draft.state);
    assertSameBits(
      () => `Memory after ${shown()}`,
      memory.subarray(0, remembered.length),
      remembered,
    );
  });
  return drafts;
}

Deno.test(
  "tree equals its specification on short texts that break drafters",
  seeded(async (random) => {
    const texts = [...buffers(400, 100)].filter((text) => text.length > 0);
    const drafts = await check(random, texts.map((text) => makeCase(random, text)));
    assert(drafts > texts.length, `only ${drafts} drafts`);
  }),
);

Deno.test(
  "tree equals its specification on random long texts",
  seeded(async (random) => {
    const cases = Array.from({ length: 400 }, () => makeCase(random, makeText(random)));
    const drafts = await check(random, cases);
    assert(drafts > cases.length, `only ${drafts} drafts`);
    const long = Array.from({ length: 6 }, () => makeCase(random, makeText(random, 40_000)));
    await check(random, long, 2);
  }),
);

Deno.test(
  "tree drafts nothing once the generation has stopped, and remembers what it did",
  async () => {
    for (const stop of STOPS.filter((stop) => stop !== null)) {
      const run = {
        state: initialState(4, 10, stop),
        tokens: Uint32Array.of(1, 2, 1, 2),
        rows: poisoned(ROWS.words),
        sources: poisoned(2 * MAX_ROWS),
        memory: poisoned(MEMORY_BYTES / 4),
        candidates: poisoned(CANDIDATES_BYTES / 4),
        keys: poisoned(4),
        options: new Uint32Array(treeOptions(31, new Array(MAX_ROWS).fill(1)).buffer),
        words: Uint32Array.of(0, 1, 2),
        text: poisoned(4),
      };
      await harness.run(jobsOf(run), [run.rows, run.memory]);
      const rows = poisoned(ROWS.words);
      rows[ROWS.count] = rows[ROWS.commitCount] = 0;
      assertSameBits("rows", run.rows, rows);
      assertSameBits("memory", run.memory, poisoned(MEMORY_BYTES / 4));
    }
  },
);
