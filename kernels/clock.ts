/**
 * The GPU's own clock: the CPU's would add the 11.5 ms that Deno takes to hear of a result.
 *
 * @module
 */
import type { Gpu } from "./device.ts";
import { turn } from "./turn.ts";

/** Work that is submitted before it is waited for takes about so long; shorter waits would leave the GPU idle more often. */
const PATIENCE_MS = 100;

/** How long the GPU's clock is compared with the CPU's. */
const COMPARED_MS = 100;

/**
 * Nanoseconds of a tick of the GPU's clock. WebGPU's timestamps are in nanoseconds, but Deno 2.9 hands out what the driver
 * counts, and does not say what a tick is (tried: a driver that says 10 ns gives the same numbers as one that says 1). On
 * NVIDIA's GPUs and in software it is 1, on AMD's 10, on Intel's 52 or 83. So the CPU's clock has to tell.
 */
async function measureTick(gpu: Gpu): Promise<number> {
  if (gpu.info.isSoftware) return 1;
  const now = async () => {
    let milliseconds = 0;
    const [ticks] = await readTicks(gpu, [() => milliseconds = performance.now()]);
    return { milliseconds, ticks: ticks! };
  };
  const first = await now();
  await new Promise((resolve) => setTimeout(resolve, COMPARED_MS));
  const last = await now();
  const tick = (last.milliseconds - first.milliseconds) * 1e6 / Number(last.ticks - first.ticks);
  // It is 1 or far more; what is in between is the comparison's error, as is a clock that stood still.
  return tick >= 2 && tick < Infinity ? tick : 1;
}

const measuredTicks = new WeakMap<Gpu, Promise<number>>();

/** What a tick takes, measured when it is first asked for. */
function tickOf(gpu: Gpu): Promise<number> {
  let tick = measuredTicks.get(gpu);
  if (!tick) measuredTicks.set(gpu, tick = measureTick(gpu));
  return tick;
}

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
  if (!gpu.device.features.has("timestamp-query")) return null;
  const tick = await tickOf(gpu);
  const ticks = await readTicks(gpu, encoded);
  return encoded.map((_, i) => Number(ticks[2 * i + 1]! - ticks[2 * i]!) * tick);
}

/** The GPU's clock at the beginning and at the end of each piece of work, in the driver's ticks. */
async function readTicks(
  gpu: Gpu,
  encoded: readonly ((pass: GPUComputePassEncoder) => void)[],
): Promise<BigUint64Array> {
  const { device } = gpu;
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
    return new BigUint64Array(await gpu.read(resolved));
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
