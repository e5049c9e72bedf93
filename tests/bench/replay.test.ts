/** The replay of recorded answers: its figures by hand, its command line, and what the tree drafter must reach. */
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readAnswers, readWords, type RecordedAnswer } from "../../bench/replay/answers.ts";
import {
  DRAFTERS,
  figures,
  linearCosts,
  replay,
  scoreAnswers,
  type TaskFigures,
  taskFigures,
} from "../../bench/replay/score.ts";
import { chain } from "../../decode/rows.ts";
import { DittoError } from "../../kernels/errors.ts";

const ROOT = new URL("../../", import.meta.url);
const TRACES = new URL("../shared/traces/mistral-7b-instruct-v0.1.jsonl", ROOT);
const TOKENIZER = new URL("../shared/tokenizer/", ROOT);

async function run(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-R", "--no-prompt", "bench/replay.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

async function withFile(text: string, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".jsonl" });
  try {
    await Deno.writeTextFile(path, text);
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

const answer = (promptIds: number[], outputIds: number[]): RecordedAnswer => ({
  task: "a",
  category: null,
  promptIds,
  outputIds,
});

Deno.test("an answer's score, by hand", () => {
  const drafter = (tokens: Uint32Array) => chain(tokens.at(-1)!, [7, 8]);
  // Passes yield 7 8 9, then 7 and another token; the first token, 6, is the prompt pass's.
  const score = replay(answer([1], [6, 7, 8, 9, 7, 1, 2]), drafter, linearCosts(0.5));
  assertEquals(score, { tokens: 6, passes: 3, rows: 9, cost: 6 });
});

Deno.test("a task's figures, by hand", () => {
  const scores = [
    { tokens: 6, passes: 3, rows: 9, cost: 6 },
    { tokens: 8, passes: 2, rows: 3, cost: 2 },
    { tokens: 0, passes: 0, rows: 0, cost: 0 },
  ];
  assertEquals(figures(scores), {
    tokensPerPass: { total: 14 / 5, mean: 3 },
    rowsPerPass: 12 / 5,
    speed: { total: 14 / 8, mean: 2.5, min: 1 },
  });
  assertEquals(figures([scores[2]!]), null);
});

Deno.test("recorded answers are read, and faults in them told by line", async () => {
  const good = { task: "t", category: "c", prompt_ids: [1, 2], output_ids: [3], more: true };
  await withFile(
    `${JSON.stringify(good)}\n\n${JSON.stringify({ ...good, category: null })}\n`,
    async (path) => {
      const read = { task: "t", category: "c", promptIds: [1, 2], outputIds: [3] };
      assertEquals(await readAnswers(path), [read, { ...read, category: null }]);
    },
  );
  const faults: [string, string][] = [
    ["", "holds no recorded answers"],
    ["{", "line 1 of"],
    ["null", '"task"'],
    [`${JSON.stringify(good)}\n${JSON.stringify({ ...good, task: 3 })}`, "line 2 of"],
    [JSON.stringify({ ...good, prompt_ids: [] }), '"prompt_ids"'],
    [JSON.stringify({ ...good, output_ids: [1, -1] }), '"output_ids"'],
    [JSON.stringify({ ...good, output_ids: [1, 0.5] }), '"output_ids"'],
  ];
  for (const [text, message] of faults) {
    await withFile(text, async (path) => {
      await assertRejects(() => readAnswers(path), DittoError, message);
    });
  }
});

Deno.test("the command line prints figures or says in a sentence what is wrong", async () => {
  const text = JSON.stringify({ task: "t", prompt_ids: [1, 2, 3, 1], output_ids: [2, 3, 1, 2] });
  await withFile(text, async (path) => {
    for (const drafter of ["original", "tree"]) {
      const { code, stdout, stderr } = await run(
        ...[
          "--traces",
          path,
          "--json",
          "--drafter",
          drafter,
          "--num-draft",
          "2",
          "--row-cost",
          ".25",
        ],
      );
      assertEquals([code, stderr], [0, ""]);
      const { tokensPerPass, rowsPerPass, speed } = JSON.parse(stdout).tasks.t;
      for (const figure of Object.values({ ...tokensPerPass, rowsPerPass, ...speed })) {
        assert(typeof figure === "number" && figure >= 0.5 && figure <= 3, stdout);
      }
      assertEquals(Object.keys(JSON.parse(stdout).tasks), ["t"]);
    }
    for (const more of [[], ["--tokenizer", "demo/ditto-tiny"]]) {
      assert((await run("--traces", path, ...more)).stdout.includes("tokens/pass"));
    }
    for (
      const [wanted, ...args] of [
        [2, "--json"],
        [2, "--traces", path, "--drafter", "best"],
        [2, "--traces", path, "--num-draft", "32"],
        [2, "--traces", path, "--row-cost", "much"],
        [2, "--traces", path, "--row-costs", "1"],
        [1, "--traces", `${path}.not`],
        [1, "--traces", path, "--tokenizer", `${path}.not`],
      ] as [number, ...string[]][]
    ) {
      const { code, stdout, stderr } = await run(...args);
      assertEquals([code, stdout], [wanted, ""], stderr);
      assert(/^[A-Z"-].*\.\n$/.test(stderr), stderr);
    }
  });
});

/** What the tree drafter must reach: cnn_dm, hagrid, mt_bench_turn0, mt_bench_turn1. */
const TARGETS: [
  rowCost: number,
  what: string,
  figure: (f: TaskFigures) => number,
  least: number[],
][] = [
  [0, "tokens per pass", (f) => f.tokensPerPass.total, [3.15, 2.86, 1.70, 2.70]],
  [0.03, "speed", (f) => f.speed.total, [2.23, 2.07, 1.31, 1.95]],
  [0.03, "answers' mean speed", (f) => f.speed.mean, [2.52, 2.60, 1.40, 2.60]],
  [0.10, "speed", (f) => f.speed.total, [1.77, 1.69, 1.20, 1.66]],
  [0.03, "worst answer's speed", (f) => f.speed.min, [1.15, 1.10, 0.98, 0.97]],
  [0.10, "worst answer's speed", (f) => f.speed.min, [1.05, 1.05, 0.97, 0.96]],
];
const TASKS = ["cnn_dm", "hagrid", "mt_bench_turn0", "mt_bench_turn1"];

async function isThere(file: URL): Promise<boolean> {
  try {
    return (await Deno.stat(file)).isFile;
  } catch {
    return false;
  }
}

Deno.test("the tree drafter reaches its targets on the recorded answers", async (t) => {
  const present = await isThere(TRACES) && await isThere(new URL("tokenizer.json", TOKENIZER));
  const answers = present ? await readAnswers(fileURLToPath(TRACES)) : [];
  const words = present ? await readWords(fileURLToPath(TOKENIZER), answers) : [];
  for (const rowCost of [0, 0.03, 0.1]) {
    await t.step({
      name: present
        ? `row cost ${rowCost}`
        : "skipped: ../shared/traces or ../shared/tokenizer is not here",
      ignore: !present,
      fn() {
        const costs = linearCosts(rowCost);
        const drafter = () => DRAFTERS.tree(31, costs, words);
        const tasks = taskFigures(scoreAnswers(answers, drafter, costs));
        for (const [cost, what, figure, least] of TARGETS) {
          if (cost !== rowCost) continue;
          TASKS.forEach((task, i) => {
            const reached = figure(tasks[task]!);
            assert(reached >= least[i]!, `${task}: ${what} ${reached}, below ${least[i]}`);
          });
        }
      },
    });
  }
});
