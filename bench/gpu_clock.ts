/**
 * Work timed by the GPU's own clock.
 *
 * @module
 */
import { fastestOfEach } from "../kernels/clock.ts";
import type { Gpu } from "../kernels/device.ts";

/**
 * The fastest of some runs of the same work.
 *
 * @param runs How often it runs. Default 8.
 * @returns Seconds; null where the device has no clock, or one too coarse to tell.
 */
export async function fastestOnGpu(
  gpu: Gpu,
  encode: (pass: GPUComputePassEncoder) => void,
  runs = 8,
): Promise<number | null> {
  gpu.device.pushErrorScope("validation"); // refused work takes no time, which would look like a coarse clock
  const [fastest = 0] = await fastestOfEach(gpu, [encode], runs) ?? [];
  const error = await gpu.device.popErrorScope();
  if (error) throw new Error(`The device refused what was to be timed: ${error.message}`);
  return fastest > 0 && fastest < Infinity ? fastest / 1e9 : null;
}
