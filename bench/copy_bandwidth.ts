/**
 * The yardstick of decoding: how fast the device copies memory with a plain kernel, in the same run as what is
 * measured.
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
  const { isSoftware, maxBindingBytes, maxBufferBytes } = gpu.info;
  const bytes = Math.min((isSoftware ? 64 : 1024) << 20, maxBindingBytes, maxBufferBytes) & ~15;
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
