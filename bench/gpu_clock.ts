/**
 * The GPU's own clock: the CPU's would add the 11.5 ms that Deno takes to hear of a result.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";

/**
 * Times work on the GPU.
 *
 * @param encoded Each encodes some dispatches; they run in this order, one after another.
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
  device.pushErrorScope("validation"); // refused work takes no time, which would look like a coarse clock
  try {
    const encoder = device.createCommandEncoder();
    for (const [i, encode] of encoded.entries()) {
      const timestampWrites = {
        querySet,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      };
      const pass = encoder.beginComputePass({ timestampWrites });
      encode(pass);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    if (error) throw new Error(`The device refused what was to be timed: ${error.message}`);
    const times = new BigUint64Array(await gpu.read(resolved));
    return encoded.map((_, i) => Number(times[2 * i + 1]! - times[2 * i]!));
  } finally {
    querySet.destroy();
    gpu.free(resolved);
  }
}

/**
 * The shortest of some runs of the same work, since whatever else runs on the machine only ever adds.
 *
 * @param runs How often it runs. Default 8.
 * @returns Seconds; null where the device has no clock, or one too coarse to tell.
 */
export async function fastestOnGpu(
  gpu: Gpu,
  encode: (pass: GPUComputePassEncoder) => void,
  runs = 8,
): Promise<number | null> {
  const times = await timeOnGpu(gpu, new Array(runs).fill(encode));
  const fastest = times ? Math.min(...times) : 0;
  return fastest > 0 ? fastest / 1e9 : null;
}
