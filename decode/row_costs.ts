/**
 * What a pass costs by its number of rows, measured on the device at hand: the price that a draft has to be
 * worth.
 *
 * @module
 */
import { fastestOfEach } from "../kernels/clock.ts";
import type { Gpu } from "../kernels/device.ts";
import { MAX_ROWS } from "../kernels/stages.ts";

/** Row counts that are timed; those between are interpolated. Stages take rows in fours and, of one left, alone. */
const COUNTS = [1, 2, 4, 5, 8, 12, 16, 20, 24, 28, 32] as const;
/** Each is timed this often; the fastest counts, since whatever else runs only ever adds, most of all on a CPU. */
const REPEATS = 3;
const SOFTWARE_REPEATS = 8;
/** Those of a device on which a pass of one row takes more than {@linkcode SLOW_MS}; timed once. */
const FEW_COUNTS = [1, 4, 8] as const;
const SLOW_MS = 200;

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

/**
 * Times passes of 1 to {@linkcode MAX_ROWS} rows on the GPU's own clock.
 *
 * @param setRows Writes a pass of so many rows into the rows buffer.
 * @param encode Encodes the pass.
 * @returns For each number of rows, from 1, the cost relative to one row, never falling; null where the
 * device has no clock.
 */
export async function measureRowCosts(
  gpu: Gpu,
  setRows: (count: number) => void,
  encode: (pass: GPUComputePassEncoder) => void,
): Promise<number[] | null> {
  const time = (counts: readonly number[], runs: number) =>
    fastestOfEach(
      gpu,
      counts.map((rows) => (pass) => {
        setRows(rows);
        encode(pass);
      }),
      runs,
    );
  const one = await time([1], 1);
  if (!one) return null;
  const isSlow = one[0]! > SLOW_MS * 1e6;
  const counts = isSlow ? FEW_COUNTS : COUNTS;
  const repeats = isSlow ? 1 : gpu.info.isSoftware ? SOFTWARE_REPEATS : REPEATS;
  const fastest = (await time(counts, repeats))!;
  return fastest[0]! > 0 ? relativeCosts(counts, fastest) : null;
}

/** From times at some counts to costs at every number of rows, beyond the last count as between the last two. */
function relativeCosts(counts: readonly number[], times: readonly number[]): number[] {
  const costs: number[] = [];
  for (let rows = 1; rows <= MAX_ROWS; rows++) {
    const found = counts.findIndex((count, i) => i > 0 && count >= rows);
    const after = found < 0 ? counts.length - 1 : found;
    const [from, to] = [counts[after - 1]!, counts[after]!];
    const [start, end] = [times[after - 1]!, times[after]!];
    const time = start + (end - start) * (rows - from) / (to - from);
    costs.push(Math.max(time / times[0]!, costs.at(-1) ?? 1));
  }
  return costs;
}
