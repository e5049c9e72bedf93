/**
 * The steps of a prompt's chunk.
 *
 * @module
 */
import type { Bindable, Dispatch } from "../kernels/compiler.ts";
import type { BufferRegion, Gpu } from "../kernels/device.ts";
import { F16_PRODUCT, tileWorkgroups } from "../kernels/profile.ts";
import { MAX_WORKGROUPS } from "../kernels/stages.ts";
import type { MistralConfig } from "./config.ts";
import { matricesOf } from "./layout.ts";
import type { Dimensions, Workspace } from "./memory.ts";
import { type Stages, type Step, step } from "./model_stages.ts";
import type { Matrix, MatrixPart, Weights } from "./weights.ts";

/** What decodeSteps() does, for a chunk of a prompt and without the head: only keys and values are wanted. */
export function promptSteps(
  stages: Stages,
  weights: Weights,
  b: Record<Workspace, GPUBuffer>,
  caches: readonly BufferRegion[],
  span: GPUBuffer,
  scales: ReadonlyMap<MatrixPart, GPUBuffer> | null,
): Step[] {
  const { config } = stages;
  const { hiddenStride, attentionStride, intermediateStride, qkvSize } = stages.dimensions;
  const steps: Step[] = [];
  const add = (...parts: Parameters<typeof step>) => steps.push(step(...parts));
  const matmul = (
    matrix: Matrix,
    input: GPUBuffer,
    output: GPUBuffer,
    constants: { STRIDE: number; ADD: number },
  ) => {
    const tile = scales ? F16_PRODUCT : stages.compiler.promptProduct;
    if (scales) {
      const kernel = stages.product("promptScales", {
        type: "F32",
        storage: "buffer",
        k8: matrix.k8,
      });
      add(kernel, [input, b.promptScales, span], (size) => [size]);
    }
    const kernel = stages.product(tile.stage, matrix, constants);
    for (const part of matrix.parts) {
      const buffers: Bindable[] = [part.weights, input, output, part.prompt, span];
      if (scales) buffers.push(b.promptScales, scales.get(part)!);
      add(kernel, buffers, (size) => tileWorkgroups(tile, size, part.rows));
    }
  };
  const normalize = stages.kernel("promptNormalize", { STRIDE: hiddenStride });
  /** For each row, workgroups that make so many values each. */
  const across = (count: number, values: number): Step["workgroups"] => (size) => [
    Math.ceil(count / values),
    size,
  ];

  for (const part of weights.embedding.parts) {
    const kernel = stages.product("promptEmbed", weights.embedding);
    add(kernel, [part.weights, b.promptIds, part.decode, b.promptX], (size) => [size]);
  }
  weights.layers.forEach((layer, i) => {
    const cache = caches[i]!;
    add(normalize, [b.promptX, layer.inputNorm, b.promptNormed], (size) => [size]);
    matmul(layer.qkv, b.promptNormed, b.promptQkv, { STRIDE: qkvSize, ADD: 0 });
    add(
      stages.kernel("promptRope", { STRIDE: qkvSize }),
      [b.promptQkv, b.rope, b.promptQ, cache, span],
      across(qkvSize / 2, 64),
    );
    // The last layer ends with its keys and values: the prompt's own logits are not wanted.
    if (i === weights.layers.length - 1) return;
    add(
      stages.kernel("promptAttend", { STRIDE: attentionStride }),
      [b.promptQ, cache, b.promptAttention, span],
      (size) => [config.numKeyValueHeads, stages.attentionTiles("promptAttend", size)],
    );
    matmul(layer.out, b.promptAttention, b.promptX, { STRIDE: hiddenStride, ADD: 1 });
    add(normalize, [b.promptX, layer.postNorm, b.promptNormed], (size) => [size]);
    const width = 2 * config.intermediateSize;
    matmul(layer.gateUp, b.promptNormed, b.promptGateUp, { STRIDE: width, ADD: 0 });
    for (const part of layer.gateUp.parts) {
      const kernel = stages.kernel("promptGate", { STRIDE: intermediateStride, WIDTH: width });
      add(kernel, [b.promptGateUp, b.promptH, part.decode], across(part.count, 256));
    }
    matmul(layer.down, b.promptH, b.promptX, { STRIDE: hiddenStride, ADD: 1 });
  });
  return steps;
}

/**
 * Multiply-adds of a prompt in one submission, about: half a second on a slow integrated GPU. Drivers
 * give up on a submission that takes seconds (Windows on two). Small ones cost time too: prompts of the model in the box
 * took some 2% longer in parts of 8 steps than of 64 (llvmpipe).
 */
const SUBMITTED = 5e10;
/** The same where the CPU plays the device: half a second on two cores. */
const SUBMITTED_TO_SOFTWARE = 5e9;

/** Multiply-adds of one layer's attention, for a row of a chunk that begins at `position`, at most. */
function attended(config: MistralConfig, d: Dimensions, position: number): number {
  const { numAttentionHeads, headDim, slidingWindow } = config;
  const keys = Math.min(position + d.promptRows, slidingWindow ?? Infinity);
  return 2 * numAttentionHeads * headDim * keys;
}

/**
 * Rows of the chunk of a prompt that begins at `position`: as many as fit one, or fewer where one layer's attention alone
 * would take twice of what is submitted at once. For Mistral-7B that is beyond 23k tokens.
 */
export function promptRowsAt(config: MistralConfig, d: Dimensions, position: number): number {
  const rows = Math.floor(2 * SUBMITTED / attended(config, d, position));
  return Math.max(1, Math.min(rows, d.promptRows));
}

/**
 * How many steps of a chunk of a prompt go into one submission.
 *
 * @param steps Those of the chunk.
 * @param position Where it begins.
 * @param isSoftware Whether the CPU plays the device.
 */
export function promptStepsAtOnce(
  config: MistralConfig,
  d: Dimensions,
  steps: number,
  position: number,
  isSoftware: boolean,
): number {
  const { hiddenSize, intermediateSize, numAttentionHeads, headDim, numHiddenLayers } = config;
  const weights = hiddenSize * (d.qkvSize + numAttentionHeads * headDim + 3 * intermediateSize);
  const row = numHiddenLayers * (weights + attended(config, d, position));
  const share = (isSoftware ? SUBMITTED_TO_SOFTWARE : SUBMITTED) /
    (row * promptRowsAt(config, d, position));
  return Math.max(1, Math.floor(share * steps));
}

/** The scales of the layers' weight rows, and what has to run once to compute them: prompt/scales.wgsl. */
export interface WeightScales {
  /** [rows] f32 for each part. */
  readonly scales: ReadonlyMap<MatrixPart, GPUBuffer>;
  readonly dispatches: readonly Dispatch[];
  /** Uniforms that the dispatches read. */
  readonly spans: readonly GPUBuffer[];
}

/** Makes room for the scales of the layers' weight rows, and binds what computes them. */
export function weightScales(gpu: Gpu, stages: Stages, weights: Weights): WeightScales {
  const scales = new Map<MatrixPart, GPUBuffer>();
  const dispatches: Dispatch[] = [];
  const spans: GPUBuffer[] = [];
  for (const matrix of matricesOf(weights.layers)) {
    const kernel = stages.product("promptScales", matrix);
    for (const part of matrix.parts) {
      const { rows } = part;
      const target = gpu.buffer("scales of weight rows", rows * 4);
      const span = gpu.uniform("weight rows", [rows]);
      const across = Math.min(rows, MAX_WORKGROUPS);
      const bindings = kernel.bind(part.weights, target, span);
      dispatches.push({ kernel, bindings, workgroups: [across, Math.ceil(rows / across)] });
      scales.set(part, target);
      spans.push(span);
    }
  }
  return { scales, dispatches, spans };
}
