/**
 * What a model needs on the GPU, computed before anything is allocated and compared with what the device
 * allows, buffer by buffer.
 *
 * @module
 */
import { type DeviceInfo, regionBytes } from "../kernels/device.ts";
import { type CacheType, CHUNK, MAX_ROWS } from "../kernels/stages.ts";
import type { MistralConfig } from "./config.ts";
import { DittoError } from "./errors.ts";
import { isQuantized } from "../kernels/weight_types.ts";
import { matricesOf, type MatrixLayout, type WeightLayout } from "./layout.ts";
import { storedBytes } from "./weight_textures.ts";

/** A token of a prompt, and one of its answer. */
export const LEAST_CONTEXT = 2;

/** Prompt tokens that go through the model in one pass, unless a device takes more. */
const PROMPT_CHUNK = 256;

/**
 * Prompt tokens that go through the model in one pass on a device. Which they are does not change a bit.
 *
 * A GPU with many cores needs the longer ones: 256 rows of 4096 outputs are 128 workgroups, and an H100 has room for
 * 264 of them (132 multiprocessors, 102 registers a thread in ptxas's code). It costs Mistral-7B 67 MB, and takes a buffer
 * of 134 MB where a feed-forward has 32768 values, as in Mistral Small.
 */
export function promptChunk({ isSoftware, maxBindingBytes, maxBufferBytes }: DeviceInfo): number {
  const hasRoom = Math.min(maxBindingBytes, maxBufferBytes) >= 128 << 20;
  return isSoftware || !hasRoom ? PROMPT_CHUNK : 2 * PROMPT_CHUNK;
}

/** What the multiply-adds of a prompt's matrix products are made in. */
export type PromptPrecision = "f16" | "f32";

/** The sizes that follow from a model's shape, the context and the cache's type; and what goes with them. */
export interface Dimensions {
  /** Positions a generation can reach, prompt included. */
  readonly context: number;
  /** How keys and values are stored. */
  readonly cache: CacheType;
  /** Positions a layer's cache keeps; fewer than the context under a sliding window. */
  readonly capacity: number;
  /** Attention chunks a row can see at most. */
  readonly slots: number;
  /** Prompt tokens of a pass. */
  readonly promptRows: number;
  /** What prompts are multiplied in. */
  readonly promptPrecision: PromptPrecision;
  /** Values between two of a prompt's rows of the residual stream. */
  readonly hiddenStride: number;
  /** Values between two of a prompt's rows of the attention's output. */
  readonly attentionStride: number;
  /** Values between two of a prompt's rows of the feed-forward. */
  readonly intermediateStride: number;
  /** Outputs of the query, key and value product. */
  readonly qkvSize: number;
}

/** Computes the sizes of caches and workspaces. `chunk`: prompt tokens of a pass at most. */
export function dimensions(
  config: MistralConfig,
  context: number,
  cache: CacheType,
  promptPrecision: PromptPrecision = "f32",
  chunk = PROMPT_CHUNK,
): Dimensions {
  const { numAttentionHeads, numKeyValueHeads, headDim, slidingWindow } = config;
  const promptRows = Math.min(chunk, context);
  const window = slidingWindow ?? Infinity;
  return {
    context,
    cache,
    // A prompt pass writes all of its rows before the first of them looks back over the window.
    capacity: Math.min(context, window + promptRows),
    slots: Math.ceil(Math.min(context, window + CHUNK) / CHUNK),
    promptRows,
    promptPrecision,
    hiddenStride: padded(config.hiddenSize),
    attentionStride: padded(numAttentionHeads * headDim),
    intermediateStride: padded(config.intermediateSize),
    qkvSize: (numAttentionHeads + 2 * numKeyValueHeads) * headDim,
  };
}

function padded(size: number): number {
  return Math.ceil(size / 8) * 8;
}

/** Values between two rows of a decoding pass, by those between a prompt's: see kernels/lib/planes.wgsl. */
export function passStride(stride: number): number {
  return Math.ceil(stride / 16) * 16;
}

/** The buffers of a forward pass besides the weights, in bytes. The shapes are those in the kernels. */
export function workspaces(config: MistralConfig, d: Dimensions): Record<Workspace, number> {
  const { numAttentionHeads, headDim, vocabSize } = config;
  const half = headDim / 2;
  const queries = numAttentionHeads * headDim;
  const hidden = passStride(d.hiddenStride);
  const f32 = 4;
  return {
    rows: 4 * (5 + 4 * MAX_ROWS),
    rope: d.context * half * 2 * f32,
    residual: MAX_ROWS * hidden * f32,
    gained: MAX_ROWS * hidden * f32,
    squares: MAX_ROWS * hidden / 4 * f32,
    q: MAX_ROWS * queries * f32,
    sums: MAX_ROWS * numAttentionHeads * d.slots * headDim * f32,
    peaks: MAX_ROWS * numAttentionHeads * d.slots * 2 * f32,
    attention: MAX_ROWS * passStride(d.attentionStride) * f32,
    h: MAX_ROWS * passStride(d.intermediateStride) * f32,
    logits: MAX_ROWS * vocabSize * f32,
    promptIds: (1 + d.promptRows) * 4,
    promptX: d.promptRows * d.hiddenStride * f32,
    promptNormed: d.promptRows * d.hiddenStride * f32,
    promptQkv: d.promptRows * d.qkvSize * f32,
    promptQ: d.promptRows * queries * f32,
    promptAttention: d.promptRows * d.attentionStride * f32,
    promptGateUp: d.promptRows * 2 * config.intermediateSize * f32,
    promptH: d.promptRows * d.intermediateStride * f32,
    promptScales: d.promptPrecision === "f16" ? d.promptRows * f32 : 0,
  };
}

/** Names of the workspaces. */
export type Workspace =
  | "rows"
  | "rope"
  | "residual"
  | "gained"
  | "squares"
  | "q"
  | "sums"
  | "peaks"
  | "attention"
  | "h"
  | "logits"
  | "promptIds"
  | "promptX"
  | "promptNormed"
  | "promptQkv"
  | "promptQ"
  | "promptAttention"
  | "promptGateUp"
  | "promptH"
  | "promptScales";

/** Bytes of one layer's keys and values: the ring and the fresh slots of two passes. */
export function cacheBytes(config: MistralConfig, d: Dimensions): number {
  const bytes = d.cache === "f16" ? 2 : 4;
  return (d.capacity + 2 * MAX_ROWS) * 2 * config.numKeyValueHeads * config.headDim * bytes;
}

/** Bytes of the scales that prompt/matmul_f16.wgsl needs for some matrices' weight rows. */
function scaleBytes(matrices: readonly MatrixLayout[]): number {
  const rows = matrices.flatMap(({ parts, rowsPerUnit }) =>
    parts.map(({ units }) => Math.ceil(units * rowsPerUnit / 4) * 4)
  );
  return 4 * sum(rows);
}

/** What a model needs in all, in bytes. */
export interface MemoryNeed {
  /** The weights, as stored on the GPU. */
  readonly weights: number;
  /** Keys and values of all layers. */
  readonly cache: number;
  /** Everything else. */
  readonly workspaces: number;
  /** All together. */
  readonly total: number;
}

/**
 * Adds up what a model needs and checks it against the device. Uniforms, of 64 bytes at most, do not count; nor do the
 * buffer from which weights move to textures, and the part of the head that is timed in both, which have been freed before
 * caches and workspaces are made.
 *
 * @param generation Bytes of the buffers that decoding needs besides in a context of so many tokens, by their names.
 * @param availableBytes Memory the device can still give, where that is known.
 * @throws {DittoError} If one buffer is larger than the device allows, or all together are larger than
 * its memory; with the largest context that fits, if there is one.
 */
export function checkMemory(
  config: MistralConfig,
  layout: WeightLayout,
  d: Dimensions,
  device: DeviceInfo,
  generation: (context: number) => Readonly<Record<string, number>>,
  availableBytes = Infinity,
): MemoryNeed {
  const limit = Math.min(device.maxBindingBytes, device.maxBufferBytes);
  const { embedding, head, layers } = layout;
  const inLayers = matricesOf(layers);
  const parts = [embedding, ...(head === embedding ? [] : [head]), ...inLayers].flatMap(
    ({ label, parts }) => parts.map(({ bytes }) => [`the weights of ${label}`, bytes] as const),
  );
  const weights = sum(parts.map(([, bytes]) => storedBytes(bytes, device))) +
    (2 * layers.length + 1) * d.hiddenStride * 4;
  const scales = d.promptPrecision === "f16" ? scaleBytes(inLayers) : 0;
  const needIn = (context: number) => {
    const { cache, promptPrecision, promptRows } = d;
    const inContext = dimensions(config, context, cache, promptPrecision, promptRows);
    const layerCache = cacheBytes(config, inContext);
    const others = Object.entries({ ...workspaces(config, inContext), ...generation(context) });
    const need = {
      weights,
      cache: regionBytes(layerCache) * layers.length,
      workspaces: scales + sum(others.map(([, bytes]) => bytes)),
    };
    const buffers = [
      ...parts,
      ["one layer's KV cache", layerCache] as const,
      ...others.map(([name, bytes]) => [`the workspace "${name}"`, bytes] as const),
    ];
    const tooLarge = buffers.find(([, bytes]) => bytes > limit);
    return { ...need, total: sum(Object.values(need)), tooLarge };
  };
  const { tooLarge, ...need } = needIn(d.context);
  if (!tooLarge && need.total <= availableBytes) return need;

  const fitting = largestBelow(d.context, (context) => {
    const { tooLarge, total } = needIn(context);
    return !tooLarge && total <= availableBytes;
  });
  const smaller = fitting && `ask for a context of ${fitting} tokens at most`;
  if (tooLarge) {
    const [what, bytes] = tooLarge;
    const [needed, allowed] = twoSizes(bytes, limit);
    throw new DittoError(
      `The buffer for ${what} needs ${needed}, and ${device.name} allows ` +
        `${allowed} a buffer: ${smaller ?? "use a device with larger buffers"}.`,
      { code: "memory" },
    );
  }
  const fewer = inLayers.some(({ type }) => type === "F8") ? "q4" : "q8 or q4"; // q8 has half a bit more
  const remedies = [
    ...smaller ? [smaller] : [],
    ...isQuantized(head.type) ? [] : [`quantize the weights to ${fewer}`],
    "use a smaller model",
  ];
  const [needed, available] = twoSizes(need.total, availableBytes);
  throw new DittoError(
    `The model needs ${needed} (weights ${megabytes(weights)}, KV cache ` +
      `${megabytes(need.cache)}, workspaces ${
        megabytes(need.workspaces)
      }), and ${device.name} has ` +
      `${available} left: ${remedies.join(", or ")}.`,
    { code: "memory" },
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** The largest context below `context` that fits, as all smaller ones do; null if none does. */
function largestBelow(context: number, fits: (context: number) => boolean): number | null {
  let [fitting, tooLarge] = [LEAST_CONTEXT - 1, context];
  while (tooLarge - fitting > 1) {
    const middle = Math.floor((fitting + tooLarge) / 2);
    if (fits(middle)) fitting = middle;
    else tooLarge = middle;
  }
  return fitting < LEAST_CONTEXT ? null : fitting;
}

/** Two different sizes as people read them; to the byte where they would read the same. */
function twoSizes(a: number, b: number): [string, string] {
  return megabytes(a) === megabytes(b)
    ? [`${a} bytes`, `${b} bytes`]
    : [megabytes(a), megabytes(b)];
}

/** A size as people read it. */
export function megabytes(bytes: number): string {
  return bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(2)} GB`;
}
