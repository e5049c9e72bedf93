/**
 * The yardstick of decoding: how fast the device copies memory with a plain kernel, in the same run as what is
 * measured; and how fast its driver does, whose own copies look at no bounds.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { MAX_WORKGROUPS } from "../kernels/stages.ts";
import { fastestOnGpu } from "./gpu_clock.ts";

const SOURCE = /* wgsl */ `
@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4u>;
@compute @workgroup_size(256)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
) {
  let threads = workgroups.x * 256u;
  for (var i = id.x; i < arrayLength(&source); i += threads) {
    copied[i] = source[i];
  }
}`;

/**
 * Bytes a second that a copy reads and writes together.
 *
 * @returns null where the device has no clock.
 */
export async function copyBandwidth(gpu: Gpu): Promise<number | null> {
  const { device } = gpu;
  const bytes = copiedBytes(gpu);
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: SOURCE }), entryPoint: "main" },
  });
  const buffers = [gpu.buffer("source", bytes), gpu.buffer("target", bytes)];
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const seconds = await fastestOnGpu(gpu, (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(Math.min(MAX_WORKGROUPS, Math.ceil(bytes / 16 / 256)));
  });
  for (const buffer of buffers) gpu.free(buffer);
  return seconds && 2 * bytes / seconds;
}

/**
 * Bytes a second that the driver's own copies of a buffer read and write together, by the CPU's clock. A kernel looks at
 * bounds at each load and store (wgpu turns `robustBufferAccess2` on), for which some GPUs need instructions: what it
 * copies less may be what they cost.
 */
export async function transferBandwidth(gpu: Gpu): Promise<number> {
  const { device, info } = gpu;
  const bytes = copiedBytes(gpu);
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [source, target] = [gpu.buffer("source", bytes, usage), gpu.buffer("target", bytes, usage)];
  const millisecondsOf = async (copies: number) => {
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(source, 0, target, 0, bytes);
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await gpu.unlessFailed(gpu.finish());
    return performance.now() - start;
  };
  const [few, many] = info.isSoftware ? [1, 11] : [10, 110];
  const fastest = [Infinity, Infinity];
  await millisecondsOf(1); // takes the buffers' memory
  for (let run = 0; run < 5; run++) {
    fastest[0] = Math.min(fastest[0]!, await millisecondsOf(few));
    fastest[1] = Math.min(fastest[1]!, await millisecondsOf(many));
  }
  gpu.free(source);
  gpu.free(target);
  // The difference is without what it takes to submit, and to hear of the end.
  return 2 * bytes * (many - few) / ((fastest[1]! - fastest[0]!) / 1000);
}

/** Bytes of what is copied: more than a GPU's caches hold. */
function copiedBytes({ info: { isSoftware, maxBindingBytes, maxBufferBytes } }: Gpu): number {
  return Math.min((isSoftware ? 64 : 1024) << 20, maxBindingBytes, maxBufferBytes) & ~15;
}
