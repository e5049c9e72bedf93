/**
 * What a pass costs by its number of rows, measured on the device at hand: the price that a draft has to be
 * worth.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { MAX_ROWS } from "../kernels/stages.ts";

/** Row counts that are timed; those between are interpolated. Stages take rows in fours and, of one left, alone. */
const COUNTS = [1, 2, 4, 5, 8, 12, 16, 20, 24, 28, 32] as const;
/** Each is timed this often; the fastest counts, since whatever else runs only ever adds. */
const REPEATS = 3;

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
  if (!gpu.device.features.has("timestamp-query")) return null;
  const { device } = gpu;
  const count = COUNTS.length * REPEATS * 2;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const resolved = gpu.buffer(
    "timestamps",
    count * 8,
    GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  );
  try {
    let query = 0;
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      for (const rows of COUNTS) {
        setRows(rows);
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass({
          timestampWrites: {
            querySet,
            beginningOfPassWriteIndex: query++,
            endOfPassWriteIndex: query++,
          },
        });
        encode(pass);
        pass.end();
        device.queue.submit([encoder.finish()]);
      }
    }
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await gpu.read(resolved));
    const fastest = COUNTS.map((_, i) =>
      Math.min(
        ...Array.from({ length: REPEATS }, (_, repeat) => {
          const at = 2 * (repeat * COUNTS.length + i);
          return Number(times[at + 1]! - times[at]!);
        }),
      )
    );
    return relativeCosts(fastest);
  } finally {
    querySet.destroy();
    gpu.free(resolved);
  }
}

/** From times at {@linkcode COUNTS} to costs at every number of rows; null if the clock stood still. */
function relativeCosts(times: readonly number[]): number[] | null {
  const one = times[0]!;
  if (Deno.env.get("DBG")) console.log(times.map((t) => (t / 1e3).toFixed(0)).join(" "));
  if (!(one > 0)) return null;
  const costs: number[] = [];
  for (let rows = 1; rows <= MAX_ROWS; rows++) {
    const after = COUNTS.findIndex((count) => count >= rows);
    const before = Math.max(0, after - 1);
    const span = COUNTS[after]! - COUNTS[before]!;
    const share = span === 0 ? 0 : (rows - COUNTS[before]!) / span;
    const time = times[before]! + share * (times[after]! - times[before]!);
    costs.push(Math.max(time / one, costs.at(-1) ?? 1));
  }
  return costs;
}
