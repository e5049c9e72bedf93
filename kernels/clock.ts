/**
 * The GPU's own clock: the CPU's would add the 11.5 ms that Deno takes to hear of a result.
 *
 * @module
 */
import type { Gpu } from "./device.ts";
import { turn } from "./turn.ts";

/** Work that is submitted before it is waited for takes about so long; shorter waits would leave the GPU idle more often. */
const PATIENCE_MS = 100;

/**
 * Times work on the GPU.
 *
 * @param encoded Each encodes some dispatches; they run in this order, in a submission each, so that what one
 * writes to a buffer's queue first is there when it runs. Between two the rest of the program has a turn.
 * @returns Nanoseconds of each; null where the device has no clock.
 */
export async function timeOnGpu(
  gpu: Gpu,
  encoded: readonly ((pass: GPUComputePassEncoder) => void)[],
): Promise<number[] | null> {
  const { device } = gpu;
  if (!device.features.has("timestamp-query")) return null;
  const count = 2 * encoded.length;
  const querySet = device.createQuerySet({ type: "timestamp", count });
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = gpu.buffer("timestamps", 8 * count, usage);
  let underWay = 0; // submissions that were not waited for
  let atOnce = 1;
  let since = performance.now();
  try {
    for (const [i, encode] of encoded.entries()) {
      const encoder = device.createCommandEncoder();
      const timestampWrites = {
        querySet,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      };
      const pass = encoder.beginComputePass({ timestampWrites });
      encode(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
      if (++underWay >= atOnce) {
        await gpu.unlessFailed(gpu.finish());
        atOnce = Math.max(1, Math.floor(underWay * PATIENCE_MS / (performance.now() - since)));
        underWay = 0;
        since = performance.now();
      }
      await turn();
    }
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const times = new BigUint64Array(await gpu.read(resolved));
    return encoded.map((_, i) => Number(times[2 * i + 1]! - times[2 * i]!));
  } finally {
    querySet.destroy();
    gpu.free(resolved);
  }
}

/**
 * The fastest of some runs of each piece of work, taken in turns, since whatever else runs only ever adds, and
 * drivers may compile at the first run. WebGPU allows a clock to be set back now and then: such runs do not count.
 *
 * @returns Nanoseconds of each, Infinity if no run counts; null where the device has no clock.
 */
export async function fastestOfEach(
  gpu: Gpu,
  encoded: readonly ((pass: GPUComputePassEncoder) => void)[],
  runs: number,
): Promise<number[] | null> {
  const times = await timeOnGpu(gpu, Array.from({ length: runs }, () => encoded).flat());
  return times && encoded.map((_, i) => {
    return Math.min(...times.filter((time, run) => run % encoded.length === i && time > 0));
  });
}
