/**
 * The yardstick of prompts: how many multiply-adds a second the device does in registers, in the same run as
 * what is measured.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { fastestOnGpu } from "./gpu_clock.ts";

/** Chains of vec4 that a thread works on side by side, so that none waits for its own last result. */
const CHAINS = 8;
/** Multiply-adds of each chain, four numbers wide. */
const STEPS = 512;
const THREADS = 256;

const chains = (text: (chain: number) => string) =>
  Array.from({ length: CHAINS }, (_, chain) => text(chain)).join("\n    ");

const SOURCE = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> numbers: array<vec4f>; // [2]: factor, summand; and results
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = numbers[0];
  let summand = numbers[1];
  ${chains((i) => `var s${i} = summand * f32(id.x + ${i}u);`)}
  for (var step = 0u; step < ${STEPS}u; step++) {
    ${chains((i) => `s${i} = fma(s${i}, factor, summand);`)}
  }
  let sum = ${Array.from({ length: CHAINS }, (_, i) => `s${i}`).join(" + ")};
  if (sum.x == 0.5) { // never, which the compiler cannot know
    numbers[2] = sum;
  }
}`;

/**
 * Multiply-adds of f32 a second, of the device's ordinary lanes.
 *
 * @returns null where the device has no clock.
 */
export async function multiplyAddRate(gpu: Gpu): Promise<number | null> {
  const { device } = gpu;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: SOURCE }), entryPoint: "main" },
  });
  const numbers = gpu.buffer("numbers", 48);
  device.queue.writeBuffer(numbers, 0, new Float32Array([...Array(4).fill(0.75), 1, 2, 3, 4]));
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: numbers } }],
  });
  const workgroups = gpu.info.isSoftware ? 256 : 16384;
  const seconds = await fastestOnGpu(gpu, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(workgroups);
  });
  gpu.free(numbers);
  return seconds && workgroups * THREADS * STEPS * CHAINS * 4 / seconds;
}
