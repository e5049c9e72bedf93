import { assert, assertEquals } from "@std/assert";
import {
  costsAt,
  fasterOf,
  isPassTimes,
  isRowCosts,
  isRowTimes,
  rowCosts,
  type RowTimes,
} from "../../decode/row_costs.ts";
import { FIXTURE, run } from "../cli/process.ts";
import { seeded } from "../random.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";

/** Times at the counts that are timed, from what a pass of so many rows takes. */
const timesOf = (time: (rows: number) => number): RowTimes =>
  [1, 2, 4, 5, 8, 12, 16, 20, 24, 28, 32].map((rows) => [rows, time(rows)]);

Deno.test("rowCosts() gives times relative to one row, and what lies between on a line", () => {
  const costs = rowCosts(timesOf((rows) => 1000 + 50 * (rows - 1)));
  assertEquals(costs.length, 32);
  costs.forEach((cost, i) => assert(Math.abs(cost - (1 + 0.05 * i)) < 1e-9, `${cost} at ${i}`));
  // Three counts tell of all: beyond the last it goes on as between the last two.
  const few = rowCosts([[1, 200], [4, 200], [8, 400]]);
  assertEquals([1, 2, 4, 6, 8, 12, 32].map((rows) => few[rows - 1]), [1, 1, 1, 1.5, 2, 3, 8]);
});

Deno.test("costsAt() adds what a longer text adds to each number of rows", () => {
  const short = timesOf((rows) => 1000 + 50 * (rows - 1));
  // After 4096 tokens every row's attention takes 400 more, one row's by itself 100 more.
  const times: RowTimes = [1, 4, 8].map((
    rows,
  ) => [rows, 1000 + 50 * (rows - 1) + 100 + 400 * rows]);
  const long = { length: 4096, times };
  const expected = (part: number) => {
    const time = (rows: number) => 1000 + 50 * (rows - 1) + part * (100 + 400 * rows);
    return Array.from({ length: 32 }, (_, i) => time(i + 1) / time(1));
  };
  for (const [length, part] of [[0, 0], [512, 0], [2304, 0.5], [4096, 1], [7680, 2]] as const) {
    costsAt({ short, long }, length).forEach((cost, i) =>
      assert(Math.abs(cost - expected(part)[i]!) < 1e-9, `${cost} of ${i + 1} rows at ${length}`)
    );
  }
  assertEquals(costsAt({ short, long: null }, 9999), rowCosts(short));
});

Deno.test(
  "rowCosts() of any times are costs: from 1, and never falling",
  seeded((random) => {
    for (let i = 0; i < 300; i++) {
      const times = timesOf(() => random.between(1, random.pick([2, 1000, 1e9])));
      assert(isRowTimes(times));
      const long: RowTimes = [1, 4, 8].map((rows) => [rows, random.between(1, 1e9)]);
      const costs = random.chance(0.5)
        ? rowCosts(times)
        : rowCosts(times, long, random.between(0, 3));
      assert(
        isRowCosts(costs.map((cost) => Math.min(cost, 1000))),
        JSON.stringify({ times, costs }),
      );
    }
  }),
);

Deno.test("isRowTimes() takes what was written, and nothing else", () => {
  const times = timesOf((rows) => 10 * rows);
  assert(isRowTimes(JSON.parse(JSON.stringify(times))));
  assert(isRowTimes([[1, 5], [4, 5], [8, 5]]));
  const wrong = [
    null,
    7,
    "",
    {},
    [],
    times.slice(1),
    times.toReversed(),
    times.map(([, time]) => time),
    timesOf(() => 0),
    timesOf(() => -1),
    timesOf(() => NaN),
    timesOf(() => Infinity),
    times.map(([rows, time]) => [rows, time, 1]),
    times.map(([rows, time]) => [rows, String(time)]),
    times.map(([rows, time]) => [rows + 1, time]),
  ];
  for (const value of wrong) assert(!isRowTimes(value), JSON.stringify(value));
});

Deno.test("isPassTimes() takes what was written, and nothing else", () => {
  const short = timesOf((rows) => 10 * rows);
  const long = { length: 4096, times: [[1, 5], [4, 5], [8, 5]] };
  assert(isPassTimes(JSON.parse(JSON.stringify({ short, long }))));
  assert(isPassTimes({ short, long: null }));
  for (
    const value of [
      null,
      short,
      { short },
      { long },
      { short, long: {} },
      { short, long: { ...long, length: 512 } },
      { short, long: { ...long, times: 7 } },
    ]
  ) assert(!isPassTimes(value), JSON.stringify(value));
});

Deno.test("fasterOf() keeps the faster time of each count that was timed again", () => {
  const known: RowTimes = [[1, 100], [4, 200], [8, 300]];
  assertEquals(fasterOf(known, [[1, 90], [8, 400]]), [[1, 90], [4, 200], [8, 300]]);
  assertEquals(fasterOf(known, [[1, 0]]), known); // the clock stood still
});

Deno.test("times of a busy machine do not outlive the next time a model is loaded", async () => {
  await using temporary = new TempDir();
  const load = async () => {
    const args = ["--model", FIXTURE, "--prompt", "a", "--max-new-tokens", "1", "--context", "40"];
    const { code, stderr } = await run(args, { env: { DITTO_CACHE: temporary.path } });
    assertEquals(code, 0, stderr);
    return Array.from(Deno.readDirSync(temporary.path), ({ name }) => `${temporary.path}/${name}`);
  };
  const files = await load();
  if (files.length === 0) return; // the device has no clock
  assertEquals(files.length, 1);
  const file = files[0]!;
  const known = JSON.parse(await Deno.readTextFile(file));
  assert(isPassTimes(known.passTimes));

  // A machine so busy that one row took as long as many, and one that was faster than this one ever is.
  const passTimes = { short: timesOf((rows) => rows === 2 ? 1 : 1e9), long: null };
  await Deno.writeTextFile(file, JSON.stringify({ ...known, passTimes }));
  assertEquals(await load(), files);
  const found: RowTimes = JSON.parse(await Deno.readTextFile(file)).passTimes.short;
  assertEquals(new Map(found).get(2), 1, "a faster time was forgotten");
  for (const [rows, time] of found) {
    if (rows !== 2) assert(time < 1e9, `${rows} rows were not timed again`);
  }
});
