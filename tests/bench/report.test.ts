import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { prepareOut } from "../../bench/machine.ts";
import { report } from "../../bench/report.ts";
import { readResults, type Simulation } from "../../bench/report/read.ts";
import { linearScale, quantile, ratioScale } from "../../bench/report/scale.ts";
import { type EndToEndResult, type ReplayedAnswer, taskFigures } from "../../bench/result.ts";
import { DittoError } from "../../model/errors.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { type Random, seeded } from "../random.ts";

const TASKS = ["cnn_dm", "hagrid", "mt_bench_turn0"];

function randomAnswers(random: Random, count: number): ReplayedAnswer[] {
  return Array.from({ length: count }, () => {
    const task = random.pick(TASKS);
    const tokens = random.between(1, 500);
    return {
      task,
      category: task === "mt_bench_turn0" ? random.pick(["writing", "math"]) : null,
      promptTokens: random.between(1, 2000),
      tokens,
      passes: random.between(1, tokens),
      plainMs: random.between(1, 5000),
      lookupMs: random.between(1, 5000),
    };
  });
}

function engineResult(engine: string, answers: readonly ReplayedAnswer[]): EndToEndResult {
  return {
    kind: "end-to-end",
    engine,
    version: "1 < 2 & 3",
    date: "2026-11-23T10:00:00Z",
    device: "A GPU",
    driver: null,
    isSoftware: false,
    runtime: "Deno 2.9.6",
    shape: "mistral-7b",
    layers: 32,
    isWhole: true,
    dtype: "bf16",
    copyBytesPerSecond: 1e12,
    multiplyAddsPerSecond: null,
    bytesPerPass: 14e9,
    prefill: [{ tokens: 128, tokensPerSecond: 1000, fractionOfMultiplyAdds: null }],
    plain: [{
      context: 128,
      tokens: 256,
      tokensPerSecond: 61.8,
      fractionOfCopy: 0.87,
      cpuMsPerStep: 0.31,
    }],
    rowCosts: { 1: 1, 8: 1.2, 32: 2.5 },
    replays: answers.length === 0 ? [] : [
      { drafter: "tree", recording: "x.jsonl", tasks: taskFigures(answers), answers },
    ],
  };
}

function simulation(answers: readonly ReplayedAnswer[]): Simulation {
  return {
    kind: "simulation",
    drafter: "tree",
    numDraft: 31,
    rowCost: 0.03,
    tasks: {
      cnn_dm: {
        tokensPerPass: { total: 2.97, mean: 3.68 },
        rowsPerPass: 13.31,
        speed: { total: 2.15, mean: 2.6, min: 1.15 },
      },
    },
    answers: answers.map(({ task, category, tokens, passes, plainMs, lookupMs }) => ({
      task,
      category,
      tokens,
      passes: passes!,
      speed: plainMs / lookupMs,
    })),
  };
}

/** Fails unless every element that is opened is closed in turn, as in the report's own markup. */
function checkNesting(html: string): void {
  const open: string[] = [];
  for (const [, slash, name] of html.matchAll(/<(\/?)([a-z0-9]+)(?:\s[^>]*)?>/g)) {
    if (name === "meta") continue;
    if (!slash) open.push(name!);
    else assertEquals(open.pop(), name);
  }
  assertEquals(open, []);
}

Deno.test(
  "a report has a dot for every answer in every plot, and nothing from outside",
  seeded((random) => {
    const answers = randomAnswers(random, random.between(1, 60));
    const html = report([
      { name: "a", result: engineResult("Ditto", answers) },
      { name: "b", result: engineResult("llama.cpp", []) },
      { name: "c", result: simulation(answers) },
    ]);
    checkNesting(html);
    const withCategory = answers.filter(({ category }) => category !== null).length;
    const dots = html.match(/class="dot s\d"><title>[^:]*tokens:/g)?.length;
    assertEquals(dots, 2 * (2 * answers.length + withCategory));
    assert(!/https?:|<script|<link|@import|url\(/.test(html), "the page asks for something else");
    assert(!/NaN|Infinity|undefined|null/.test(html), "something was not measured but drawn");
    assert(html.includes("1 &lt; 2 &amp; 3"), "the version is shown as it is");
    assert(html.includes("61.8") && html.includes("87%") && html.includes("0.31"));
    assert(html.includes("2.97 · 13.3 · 2.15"));
  }),
);

Deno.test("a report of what replay.ts prints, without single answers", () => {
  const { tasks } = simulation([]);
  const html = report([{ name: "tree-31", result: { tasks } }]);
  checkNesting(html);
  assert(html.includes("<td>tree-31</td><td>2.97 · 13.3 · 2.15</td>"));
  assert(!html.includes("<svg"));
});

Deno.test("a report of engines alone, none of which replayed anything", () => {
  const html = report([{ name: "a", result: engineResult("Ditto", []) }]);
  checkNesting(html);
  assert(html.includes("No answers were replayed."));
});

Deno.test(
  "figures of a task: all together, mean and worst of the answers",
  seeded((random) => {
    const answers = randomAnswers(random, 40).filter(({ task }) => task === "hagrid");
    answers.push({ ...randomAnswers(random, 1)[0]!, task: "hagrid" });
    const { hagrid } = taskFigures(answers);
    let [tokens, passes, plain, lookup, speeds, worst] = [0, 0, 0, 0, 0, Infinity];
    for (const answer of answers) {
      tokens += answer.tokens;
      passes += answer.passes!;
      plain += answer.plainMs;
      lookup += answer.lookupMs;
      speeds += answer.plainMs / answer.lookupMs;
      worst = Math.min(worst, answer.plainMs / answer.lookupMs);
    }
    assertEquals(hagrid!.answers, answers.length);
    assertAlmostEquals(hagrid!.tokensPerPass!.total, tokens / passes, 1e-9);
    assertAlmostEquals(hagrid!.tokensPerSecond, 1000 * tokens / lookup, 1e-6);
    assertAlmostEquals(hagrid!.speed.total, plain / lookup, 1e-9);
    assertAlmostEquals(hagrid!.speed.mean, speeds / answers.length, 1e-9);
    assertEquals(hagrid!.speed.min, worst);
    assertEquals(taskFigures([{ ...answers[0]!, passes: null }]).hagrid!.tokensPerPass, null);
  }),
);

Deno.test("axes hold what is drawn, and ticks stand where their values do", () => {
  for (const max of [0.003, 1, 1.01, 7, 499, 500, 123456]) {
    const { place, ticks } = linearScale(max, 100, 0);
    assert(place(max) >= -1e-9 && ticks.at(-1)! >= max, `${max}`);
    assert(ticks.length <= 6, `${ticks}`);
    assertEquals([place(0), place(ticks.at(-1)!)], [100, 0]);
  }
  const { place, ticks } = ratioScale(0.3, 9, 100, 0);
  assertEquals(ticks, [0.25, 0.5, 1, 2, 4, 8]);
  assertEquals(place(0.25), 100);
  assertAlmostEquals(place(9), 0, 1e-9);
  assertEquals([0, 0.25, 0.5, 1].map((share) => quantile([1, 2, 3, 5], share)), [1, 1.75, 2.5, 5]);
});

Deno.test("where a result will be written is seen to before anything is measured", async () => {
  await using dir = new TempDir();
  await prepareOut(`${dir.path}/a.json`);
  await prepareOut(dir.path);
  await prepareOut(`${dir.path}/new/er/`);
  assert(Deno.statSync(`${dir.path}/new/er`).isDirectory);
  await prepareOut("a.json");
  await assertRejects(() => prepareOut(`${dir.path}/none/a.json`), DittoError, "no directory");
  await assertRejects(() => prepareOut(""), DittoError, "needs a path");
});

Deno.test("results are read from files and directories, and other files are told apart", async () => {
  await using dir = new TempDir();
  await dir.write({
    "b.json": engineResult("Ditto", []),
    "a.json": simulation([]),
    "notes.md": "",
  });
  assertEquals((await readResults([dir.path])).map(({ name }) => name), ["a", "b"]);
  assertEquals((await readResults([`${dir.path}/b.json`])).map(({ name }) => name), ["b"]);
  const { plain: _, ...rest } = engineResult("Ditto", []);
  for (
    const wrong of [
      { tasks: 1 },
      { tasks: [] },
      { tasks: { a: 5 } },
      rest,
      { kind: "end-to-end" },
      null,
      5,
    ]
  ) {
    await dir.write({ "c.json": wrong });
    await assertRejects(() => readResults([dir.path]), DittoError, "is no result");
  }
  await dir.write({ "c.json": "{" });
  await assertRejects(() => readResults([dir.path]), DittoError, "is not JSON");
  await assertRejects(() => readResults([`${dir.path}/d.json`]), DittoError, "cannot be read");
  await using empty = new TempDir();
  await assertRejects(() => readResults([empty.path]), DittoError, "no results");
});
