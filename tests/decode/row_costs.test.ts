import { assert, assertEquals } from "@std/assert";
import {
  costsAt,
  fasterOf,
  isPassTimes,
  isRowCosts,
  isRowTimes,
  measurePassTimes,
  type PassTimes,
  rowCosts,
  type RowTimes,
} from "../../decode/row_costs.ts";
import { FIXTURE, run } from "../cli/process.ts";
import { FakeClock } from "../fake_clock.ts";
import { seeded } from "../random.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";

/** Times at the counts that are timed, from what a pass of so many rows takes. */
const timesOf = (
  time: (rows: number) => number,
  counts = [1, 2, 4, 5, 8, 12, 16, 20, 24, 28, 32],
): RowTimes => counts.map((rows) => [rows, time(rows)]);
const FEW = [1, 4, 8];

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

/** Measures with a clock that is told what passes take, and tells which were timed: "rows at length", how often. */
async function measure(
  time: (rows: number, length: number, again: number) => number,
  longest: number,
  known: PassTimes | null = null,
  clock = new FakeClock(),
) {
  const timed = new Map<string, number>();
  const passes = (length: number) => {
    let rows = 0;
    return {
      setRows: (count: number) => rows = count,
      encode() {
        const name = `${rows} at ${length}`;
        const again = timed.get(name) ?? 0;
        timed.set(name, again + 1);
        clock.take(time(rows, length, again));
      },
    };
  };
  const times = await measurePassTimes(clock.gpu, passes, longest, known);
  return { times, timed };
}

/** Nanoseconds of a pass; every run but the third is slower. */
const usual = (rows: number, length: number, again: number) =>
  1e6 + 1e4 * rows + rows * length + (again === 2 ? 0 : 5e5);

Deno.test("measurePassTimes() keeps the fastest of a few runs, in a short text and in a long one", async () => {
  const { times, timed } = await measure(usual, 32_768);
  const fastest = (rows: number, length: number) => usual(rows, length, 2);
  assertEquals(times, {
    short: timesOf((rows) => fastest(rows, 512)),
    long: { length: 8192, times: timesOf((rows) => fastest(rows, 8192), FEW) },
  });
  assert(isPassTimes(times));
  assertEquals([timed.get("32 at 512"), timed.get("8 at 8192")], [3, 3]);
  const software = await measure(usual, 512, null, new FakeClock({ isSoftware: true }));
  const often = [2, 5, 12, 32].map((rows) => software.timed.get(`${rows} at 512`));
  assertEquals([often, software.times?.long], [[8, 8, 2, 2], null]);
});

Deno.test("measurePassTimes() asks for no more than there is: of the context, of a slow device, of one without a clock", async () => {
  const short = await measure(usual, 300);
  assertEquals([...short.timed.keys()].filter((name) => !name.endsWith(" at 300")), []);
  assertEquals(short.times?.long, null);
  assertEquals((await measure(usual, 1024)).times?.long?.length, 1024);
  assertEquals((await measure(usual, 1023)).times?.long, null);
  const slow = await measure((rows) => 2e8 + rows, 32_768);
  assertEquals(slow.times, { short: timesOf((rows) => 2e8 + rows, FEW), long: null });
  assertEquals([...slow.timed.values()], [2, 1, 1]); // the first told that it is slow
  // 32 rows might take longer than drivers let them.
  const dear = (rows: number) => 1.5e8 + 4e7 * rows;
  assertEquals((await measure(dear, 32_768)).times, { short: timesOf(dear, FEW), long: null });
  assertEquals((await measure((rows) => 2e8 - rows, 512)).times?.short.length, 11);
  const none = await measure(usual, 512, null, new FakeClock({ hasClock: false }));
  assertEquals(none.times, null);
});

Deno.test("measurePassTimes() times some of what is known again, and all where that was a busy machine's", async () => {
  const exact = (rows: number, length: number) => usual(rows, length, 2);
  const known = (await measure(exact, 8192)).times!;
  const again = await measure(exact, 8192, known);
  assertEquals(again.times, known);
  assert(again.timed.has("1 at 512") && again.timed.size > 1);
  assertEquals([...again.timed.values()].filter((times) => times > 1), []);
  assert(![...again.timed.keys()].some((name) => name.endsWith("8192")));

  // So slow that there is time for one row and one other count.
  const dear = (await measure((rows) => 9e7 + rows, 512)).times!;
  assertEquals((await measure((rows) => 9e7 + rows, 512, dear)).timed.size, 2);

  // A little faster is kept, without more being timed; more than a tenth faster says that the machine was busy.
  const little = await measure(
    (rows, length) => Math.round(0.95 * exact(rows, length)),
    8192,
    known,
  );
  assertEquals(little.timed.get("1 at 512"), 1);
  assertEquals(little.times!.short[0]![1], Math.round(0.95 * exact(1, 512)));
  assertEquals(little.times!.long, known.long);
  const idle = (rows: number, length: number) => Math.round(0.5 * exact(rows, length));
  assertEquals((await measure(idle, 8192, known)).times, (await measure(idle, 8192)).times);
  // A busy machine now does not make what is known slower.
  assertEquals(
    (await measure((rows, length) => 2 * exact(rows, length), 8192, known)).times,
    known,
  );
});

Deno.test("measurePassTimes() is not misled by a clock that is set back now and then", async () => {
  const exact = (rows: number, length: number) => usual(rows, length, 2);
  const known = (await measure(exact, 8192)).times!;
  for (const spoiled of [1, 4, 5]) {
    const broken = (rows: number, length: number, again: number) =>
      rows === spoiled && again === 0 ? -1e6 : exact(rows, length);
    assertEquals((await measure(broken, 8192)).times, known);
    for (let i = 0; i < 20; i++) assertEquals((await measure(broken, 8192, known)).times, known);
  }
  assertEquals((await measure(() => -1e6, 8192)).times, null);
});

Deno.test("isRowCosts() takes 32 costs from 1, never falling", () => {
  const costs = Array.from({ length: 32 }, (_, i) => 1 + i / 10);
  assert(isRowCosts(costs) && isRowCosts(costs.map(() => 1)) && isRowCosts(costs.with(31, 1000)));
  const wrong = [
    null,
    {},
    [],
    costs.slice(1),
    costs.slice(0, 31),
    [...costs, 9],
    costs.with(0, 0.5),
    costs.with(0, 2),
    costs.with(5, 1.2),
    costs.with(31, 1001),
    costs.with(31, Infinity),
    costs.with(31, NaN),
    costs.map(String),
  ];
  for (const value of wrong) assert(!isRowCosts(value), JSON.stringify(value));
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
