/**
 * What a pass costs by its number of rows, measured on the device at hand: the price that a draft has to be
 * worth.
 *
 * @module
 */
import { fastestOfEach } from "../kernels/clock.ts";
import type { Gpu } from "../kernels/device.ts";
import { MAX_ROWS } from "../kernels/stages.ts";

/**
 * Row counts that are timed; those between are interpolated. Stages take rows in fours and, of one left, alone. (They take
 * up to sixteen alike, so that costs rise in steps. Told where exactly, the tree gains 0.1% at most on 180 recorded answers,
 * simulated with four such stairs, and nothing that can be measured on llvmpipe.)
 */
const COUNTS = [1, 2, 4, 5, 8, 12, 16, 20, 24, 28, 32] as const;
/** Each is timed this often; the fastest counts, since whatever else runs only ever adds, most of all on a CPU. */
const REPEATS = 3;
/**
 * In software, where passes of more than so many rows cost more than they bring, those are timed less often: 2.2 s for the
 * model in the box in place of 6.8 (llvmpipe, two cores), and it is the first thing that a user waits for.
 */
const SOFTWARE = { repeats: 8, fewRows: 8, repeatsOfMany: 2 } as const;
/** Those in a long text, and those of a slow device, where they are timed once. */
export const FEW_COUNTS = [1, 4, 8] as const;
/**
 * A device is slow if a pass of so many rows takes more than these milliseconds. One of 32 rows may take four times what one
 * of eight does, and drivers give up on a submission that takes seconds (Windows on two): Deno 2.9 does not survive that.
 */
export const SLOW_MS = [[1, 200], [8, 400]] as const;
/** What is known already is timed again for about so long whenever the model is loaded. */
const AGAIN_MS = 100;
/** Tokens of the text in which passes are timed. */
const SHORT_TEXT = 512;
/**
 * Tokens of the long text in which some are timed too, or less if the context is shorter: attention makes the rows of
 * Mistral-7B twice as dear after 32k tokens as after 512, by the multiply-adds they need.
 */
const LONG_TEXT = 8192;
/** If a pass takes less than this part of what is known, all are timed anew: the machine was busy when they were. */
const SPOILED = 0.9;

/** What passes of 1, 2, … {@linkcode MAX_ROWS} rows are taken to cost on a device without a clock: that of 1 and 5% a row. */
export const UNMEASURED_ROW_COSTS: readonly number[] = Array.from(
  { length: MAX_ROWS },
  (_, drafts) => 1 + 0.05 * drafts,
);

/** Whether a value is the costs of passes of 1, 2, … {@linkcode MAX_ROWS} rows. */
export function isRowCosts(costs: unknown): costs is readonly number[] {
  const isCost = (cost: unknown, i: number, all: unknown[]) =>
    typeof cost === "number" && cost >= (all[i - 1] as number ?? 1) && cost <= 1000;
  return Array.isArray(costs) && costs.length === MAX_ROWS && costs[0] === 1 && costs.every(isCost);
}

/** The fastest passes seen so far, the first of one row. */
export type RowTimes = readonly (readonly [rows: number, nanoseconds: number])[];

/** Whether a value is such times, at the counts that are timed. */
export function isRowTimes(times: unknown): times is RowTimes {
  const isTime = (time: unknown) =>
    Array.isArray(time) && time.length === 2 && Number.isFinite(time[1]) && time[1] > 0;
  if (!Array.isArray(times) || !times.every(isTime)) return false;
  const counts = String(times.map(([rows]) => rows));
  return counts === String(COUNTS) || counts === String(FEW_COUNTS);
}

/** Passes to be timed. */
interface TimedPasses {
  /** Writes a pass of so many rows into the rows buffer. */
  readonly setRows: (count: number) => void;
  /** Encodes the pass. */
  readonly encode: (pass: GPUComputePassEncoder) => void;
  /** Whether they are those of a long text, of which some counts tell enough. */
  readonly isLong: boolean;
}

/**
 * Times passes of 1 to {@linkcode MAX_ROWS} rows on the GPU's own clock.
 *
 * @param known What earlier runs found. Some passes are timed once more then, and all if that shows that the
 * machine was busy when they were; the faster times are kept.
 * @returns Null where the device has no clock.
 */
async function measureRowTimes(
  gpu: Gpu,
  { setRows, encode, isLong }: TimedPasses,
  known: RowTimes | null = null,
): Promise<RowTimes | null> {
  const time = async (counts: readonly number[], runs: number): Promise<RowTimes | null> => {
    const work = counts.map((rows) => (pass: GPUComputePassEncoder) => {
      setRows(rows);
      encode(pass);
    });
    const times = await fastestOfEach(gpu, work, runs);
    return times && counts.map((rows, i) => [rows, times[i]!]);
  };
  const timeAll = async (): Promise<RowTimes | null> => {
    let isSlow = false;
    for (const [rows, most] of isLong ? SLOW_MS.slice(0, 1) : SLOW_MS) {
      const [found] = await time([rows], 1) ?? [];
      if (!found) return null;
      isSlow = found[1] > most * 1e6 && found[1] < Infinity; // which says nothing: the clock was set back
      if (isSlow) break;
    }
    const times = isSlow || isLong
      ? await time(FEW_COUNTS, isSlow ? 1 : REPEATS)
      : gpu.info.isSoftware
      ? await timeInSoftware()
      : await time(COUNTS, REPEATS);
    return isRowTimes(times) ? times : null;
  };
  const timeInSoftware = async () => {
    const few = await time(COUNTS.filter((rows) => rows <= SOFTWARE.fewRows), SOFTWARE.repeats);
    const many = await time(
      COUNTS.filter((rows) => rows > SOFTWARE.fewRows),
      SOFTWARE.repeatsOfMany,
    );
    return [...few ?? [], ...many ?? []];
  };
  if (!known) return await timeAll();
  const some = await time(worthTimingAgain(known), 1);
  if (!some) return null;
  const faster = fasterOf(known, some);
  if (faster.every(([, time], i) => time > known[i]![1] * SPOILED)) return faster;
  const all = await timeAll();
  return all && fasterOf(all, faster);
}

/** One row, another count at random, and more of those after it as long as {@linkcode AGAIN_MS} allow. */
function worthTimingAgain([one, ...others]: RowTimes): number[] {
  const start = Math.floor(Math.random() * others.length);
  const [first, ...more] = [...others.slice(start), ...others.slice(0, start)];
  let left = AGAIN_MS * 1e6 - one![1] - first![1];
  const fitting = more.filter(([, time]) => (left -= time) >= 0);
  return [one!, first!, ...fitting].map(([rows]) => rows);
}

/** Times with those found now where they are faster; a clock that stood still tells nothing. */
export function fasterOf(known: RowTimes, found: RowTimes): RowTimes {
  const now = new Map(found);
  return known.map(([rows, time]) => [rows, Math.min(time, now.get(rows) || time)]);
}

/** What passes take at the end of a short text, and of a long one. */
export interface PassTimes {
  /** In a text of {@linkcode SHORT_TEXT} tokens, or less if the context is shorter. */
  readonly short: RowTimes;
  /** In a text of `length` tokens; null if the context or the window is short, or the device slow. */
  readonly long: { readonly length: number; readonly times: RowTimes } | null;
}

/** Whether a value is such times. */
export function isPassTimes(value: unknown): value is PassTimes {
  const { short, long } = Object(value);
  const isLong = long === null ||
    (Object(long).length > SHORT_TEXT && isRowTimes(Object(long).times));
  return isRowTimes(short) && isLong;
}

/**
 * Times passes in a short text, and in a long one where that tells more.
 *
 * @param timed Passes at the end of a text of so many tokens.
 * @param longest Tokens that a row can see at most.
 * @param known What earlier runs found.
 * @returns Null where the device has no clock.
 */
export async function measurePassTimes(
  gpu: Gpu,
  timed: (length: number) => Omit<TimedPasses, "isLong">,
  longest: number,
  known: PassTimes | null,
): Promise<PassTimes | null> {
  const passes = { ...timed(Math.min(SHORT_TEXT, longest)), isLong: false };
  const short = await measureRowTimes(gpu, passes, known?.short);
  if (!short) return null;
  const length = Math.min(LONG_TEXT, longest);
  if (length < 2 * SHORT_TEXT || short.length < COUNTS.length) return { short, long: null };
  // What one row takes tells whether the machine was busy then.
  if (known?.long && short[0]![1] > known.short[0]![1] * SPOILED) {
    return { short, long: known.long };
  }
  const times = await measureRowTimes(gpu, { ...timed(length), isLong: true });
  return { short, long: times && { length, times } };
}

/** What passes of 1, 2, … {@linkcode MAX_ROWS} rows cost in a text of so many tokens, relative to one row. */
export function costsAt({ short, long }: PassTimes, length: number): number[] {
  if (!long) return rowCosts(short);
  const part = Math.max(0, length - SHORT_TEXT) / (long.length - SHORT_TEXT);
  return rowCosts(short, long.times, part);
}

/**
 * From times at some counts to costs at every number of rows.
 *
 * @param times In a text of {@linkcode SHORT_TEXT} tokens.
 * @param long Times in a longer text, if there are.
 * @param part Where the text at hand is on the way from the one length to the other: 0, 1, or anything between or beyond.
 * @returns For each number of rows, from 1, the cost relative to one row, never falling.
 */
export function rowCosts(times: RowTimes, long: RowTimes = [], part = 0): number[] {
  const more = long.map(([rows, time]) => [rows, Math.max(0, time - timeOf(times, rows))] as const);
  const found: number[] = [];
  for (let rows = 1; rows <= MAX_ROWS; rows++) {
    const time = timeOf(times, rows) + (more.length > 0 ? part * timeOf(more, rows) : 0);
    found.push(Math.max(time, found.at(-1) ?? 0));
  }
  return found.map((time) => time / found[0]!);
}

/** The time of so many rows: between two counts on a line, beyond the last count as between the last two. */
function timeOf(times: RowTimes, rows: number): number {
  const found = times.findIndex(([count], i) => i > 0 && count >= rows);
  const after = found < 0 ? times.length - 1 : found;
  const [from, start] = times[after - 1]!;
  const [to, end] = times[after]!;
  return start + (end - start) * (rows - from) / (to - from);
}
