/**
 * What every WebGPU device allows, and some adapters do not: Deno (2.9) finds those all the same, and refuses to open them,
 * whatever is asked for. A Raspberry Pi's GPU is one.
 *
 * @module
 */

/** WebGPU's default limits, which are its least: https://www.w3.org/TR/webgpu/#limits. */
const LEAST_LIMITS = {
  maxTextureDimension1D: 8192,
  maxTextureDimension2D: 8192,
  maxTextureDimension3D: 2048,
  maxTextureArrayLayers: 256,
  maxBindGroups: 4,
  maxBindingsPerBindGroup: 1000,
  maxDynamicUniformBuffersPerPipelineLayout: 8,
  maxDynamicStorageBuffersPerPipelineLayout: 4,
  maxSampledTexturesPerShaderStage: 16,
  maxSamplersPerShaderStage: 16,
  maxStorageBuffersPerShaderStage: 8,
  maxStorageTexturesPerShaderStage: 4,
  maxUniformBuffersPerShaderStage: 12,
  maxUniformBufferBindingSize: 65536,
  maxStorageBufferBindingSize: 128 << 20,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
  maxVertexBuffers: 8,
  maxBufferSize: 256 << 20,
  maxVertexAttributes: 16,
  maxVertexBufferArrayStride: 2048,
  maxInterStageShaderVariables: 16,
  maxColorAttachments: 8,
  maxColorAttachmentBytesPerSample: 32,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
} as const satisfies Partial<Record<keyof GPUSupportedLimits, number>>;

/** What an adapter lacks, in words such as `maxColorAttachments is 4 and not 8`; an empty list if Deno can open it. */
export function lackedLimits(limits: Record<keyof typeof LEAST_LIMITS, number>): string[] {
  return Object.entries(LEAST_LIMITS).flatMap(([key, least]) => {
    const name = key as keyof typeof LEAST_LIMITS;
    const found = limits[name];
    const isEnough = name.startsWith("min") ? found <= least : found >= least;
    return isEnough ? [] : [`${name} is ${found} and not ${least}`];
  });
}
