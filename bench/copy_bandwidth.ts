/**
 * The yardstick: how fast the device copies memory with a plain kernel, in the same run as what is measured.
 *
 * @module
 */
import { openGpu } from "../kernels/device.ts";

const SOURCE = /* wgsl */ `
@group(0) @binding(0) var<storage, read> from: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> to: array<vec4u>;
@compute @workgroup_size(256)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
) {
  let threads = workgroups.x * 256u;
  for (var i = id.x; i < arrayLength(&from); i += threads) {
    to[i] = from[i];
  }
}`;

/**
 * Bytes a second that a copy reads and writes together.
 *
 * @returns null where the device has no clock.
 */
export async function copyBandwidth(): Promise<number | null> {
  using gpu = await openGpu();
  const { device } = gpu;
  if (!device.features.has("timestamp-query")) return null;
  const { isSoftware, maxBindingBytes, maxBufferBytes } = gpu.info;
  const bytes = Math.min((isSoftware ? 64 : 1024) << 20, maxBindingBytes, maxBufferBytes) & ~15;
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: SOURCE }), entryPoint: "main" },
  });
  const bindings = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [gpu.buffer("from", bytes), gpu.buffer("to", bytes)]
      .map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const runs = 8;
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 * runs });
  const encoder = device.createCommandEncoder();
  for (let run = 0; run < runs; run++) {
    const pass = encoder.beginComputePass({
      timestampWrites: {
        querySet,
        beginningOfPassWriteIndex: 2 * run,
        endOfPassWriteIndex: 2 * run + 1,
      },
    });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(isSoftware ? 64 : 8192);
    pass.end();
  }
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = gpu.buffer("timestamps", 16 * runs, usage);
  encoder.resolveQuerySet(querySet, 0, 2 * runs, resolved, 0);
  device.queue.submit([encoder.finish()]);
  const times = new BigUint64Array(await gpu.read(resolved));
  const fastest = Math.min(
    ...Array.from({ length: runs }, (_, run) => Number(times[2 * run + 1]! - times[2 * run]!)),
  );
  return fastest > 0 ? 2 * bytes / (fastest / 1e9) : null;
}
