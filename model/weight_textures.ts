/**
 * Weights in textures, for devices that read these faster than buffers: kernels/lib/weights_in_texture.wgsl.
 *
 * @module
 */
import { type BufferRegion, type DeviceInfo, type Gpu, regionBytes } from "../kernels/device.ts";
import { profileChoices } from "../kernels/profile.ts";
import { matricesOf } from "./layout.ts";
import type { Matrix, Weights } from "./weights.ts";

/** Texels of a row of a texture. `TEXELS` in kernels/lib/weights_in_texture.wgsl. */
const TEXELS = 1024;
const TEXEL_BYTES = 16;
const ROW_BYTES = TEXELS * TEXEL_BYTES;

/** What a texture can hold on any device: WebGPU allows 8192 rows everywhere. */
const MAX_TEXTURE_BYTES = 8192 * ROW_BYTES;

/** Whether weights may come to textures on a device. */
function mayMove(info: DeviceInfo): boolean {
  return profileChoices(info).weightStorage.includes("texture");
}

/** Bytes that a part of a matrix may have: what a kernel sees of a buffer, and a texture holds where it may come to one. */
export function maxPartBytes(info: DeviceInfo): number {
  const { maxBindingBytes, maxBufferBytes } = info;
  return Math.min(maxBindingBytes, maxBufferBytes, mayMove(info) ? MAX_TEXTURE_BYTES : Infinity);
}

/** Bytes that a part of a matrix takes on a device: in whole rows of a texture, if it may come to one. */
export function storedBytes(bytes: number, info: DeviceInfo): number {
  return mayMove(info) ? Math.ceil(bytes / ROW_BYTES) * ROW_BYTES : regionBytes(bytes);
}

/** Copies a matrix, of parts that have {@linkcode maxPartBytes} at most. */
export function copyToTextures(gpu: Gpu, matrix: Matrix<BufferRegion>): Matrix<GPUTexture> {
  const encoder = gpu.device.createCommandEncoder();
  const copied = inTextures(matrix, (region) => copyToTexture(gpu, encoder, region));
  gpu.device.queue.submit([encoder.finish()]);
  return copied;
}

function inTextures(
  matrix: Matrix<BufferRegion>,
  textureOf: (region: BufferRegion) => GPUTexture,
): Matrix<GPUTexture> {
  const parts = matrix.parts.map((part) => ({ ...part, weights: textureOf(part.weights) }));
  return { ...matrix, storage: "texture", parts };
}

/**
 * Moves weights from buffers to textures, a buffer at a time: each is freed before the next is copied, which bounds the
 * memory in use.
 *
 * @param weights Matrices of parts that have {@linkcode maxPartBytes} at most.
 */
export function moveToTextures(gpu: Gpu, weights: Weights<BufferRegion>): Weights<GPUTexture> {
  const { embedding, layers, head } = weights;
  const matrices = [...new Set([embedding, ...matricesOf(layers), head])];
  const regions = matrices.flatMap(({ parts }) => parts.map(({ weights }) => weights));
  const textures = new Map<BufferRegion, GPUTexture>();
  for (const [buffer, inBuffer] of Map.groupBy(regions, ({ buffer }) => buffer)) {
    const encoder = gpu.device.createCommandEncoder();
    for (const region of inBuffer) textures.set(region, copyToTexture(gpu, encoder, region));
    gpu.device.queue.submit([encoder.finish()]);
    gpu.free(buffer);
    gpu.finish().catch(() => {}); // until then it is kept; a failure is announced by other means
  }
  const copies = new Map(
    matrices.map((matrix) => [matrix, inTextures(matrix, (region) => textures.get(region)!)]),
  );
  const moved = (matrix: Matrix<BufferRegion>) => copies.get(matrix)!;
  return {
    ...weights,
    embedding: moved(embedding),
    layers: layers.map((layer) => ({
      ...layer,
      qkv: moved(layer.qkv),
      out: moved(layer.out),
      gateUp: moved(layer.gateUp),
      down: moved(layer.down),
    })),
    head: moved(head),
  };
}

/** Encodes the copy of a region to a new texture. */
export function copyToTexture(
  gpu: Gpu,
  encoder: GPUCommandEncoder,
  { label, buffer, offset, size }: BufferRegion,
): GPUTexture {
  const texture = gpu.texture(label, TEXELS, Math.ceil(size / ROW_BYTES));
  const copy = (row: number, width: number, height: number) =>
    encoder.copyBufferToTexture(
      { buffer, offset: offset + row * ROW_BYTES, bytesPerRow: ROW_BYTES },
      { texture, origin: [0, row] },
      [width, height],
    );
  const rows = Math.floor(size / ROW_BYTES);
  const rest = size % ROW_BYTES / TEXEL_BYTES;
  if (rows > 0) copy(0, TEXELS, rows);
  if (rest > 0) copy(rows, rest, 1);
  return texture;
}
