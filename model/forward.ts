/**
 * The forward pass of a Mistral: embedding, layers and head for the few rows of a decoding pass, and the
 * layers alone for the chunks of a prompt.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { type AttentionTile, attentionTile } from "../kernels/attention_tile.ts";
import { Compiler, type Dispatch, encode, type Kernel } from "../kernels/compiler.ts";
import { F16_PRODUCT, type PromptProduct } from "../kernels/profile.ts";
import { CHUNK, MAX_WORKGROUPS } from "../kernels/stages.ts";
import { planes } from "../kernels/weight_types.ts";
import type { MistralConfig } from "./config.ts";
import { matricesOf } from "./layout.ts";
import { cacheBytes, type Dimensions, passStride, type Workspace, workspaces } from "./memory.ts";
import { ropeTable } from "./rope.ts";
import type { Matrix, MatrixPart, Weights } from "./weights.ts";

/** Dispatches of a prompt in one submission: a slow GPU's driver gives up on one that takes seconds. */
const SUBMITTED_STEPS = 64;

/** A stage bound to its buffers, whose workgroups follow from the size of the pass. */
interface Step {
  readonly kernel: Kernel;
  readonly bindings: GPUBindGroup;
  readonly workgroups: (size: number, chunks: number) => Dispatch["workgroups"];
}

/** The forward pass of one model on one device, with its KV cache and workspaces. Disposing it frees these. */
export class Forward implements Disposable {
  /** The rows of a pass, `Rows` in kernels/lib/rows.wgsl; decode/ fills it. */
  readonly rows: GPUBuffer;
  /** Logits of every row of the pass just run, [MAX_ROWS][vocab_size] f32. */
  readonly logits: GPUBuffer;
  #gpu: Gpu;
  #dimensions: Dimensions;
  #decode: Step[];
  #prompt: Step[];
  #promptIds: GPUBuffer;
  #span: GPUBuffer;
  #owned: readonly GPUBuffer[];

  /** Compiles the stages and allocates the cache and the workspaces. */
  constructor(
    gpu: Gpu,
    compiler: Compiler,
    config: MistralConfig,
    weights: Weights,
    d: Dimensions,
  ) {
    const buffers = {} as Record<Workspace, GPUBuffer>;
    for (const [name, bytes] of Object.entries(workspaces(config, d))) {
      buffers[name as Workspace] = gpu.buffer(name, bytes);
    }
    gpu.device.queue.writeBuffer(
      buffers.rope,
      0,
      ropeTable(d.context, config.headDim, config.ropeTheta),
    );
    const span = gpu.uniform("prompt chunk: rows, position", [0, 0]);
    const caches = weights.layers.map((_, i) =>
      gpu.buffer(`KV cache of layer ${i}`, cacheBytes(config, d))
    );
    const stages = new Stages(compiler, config, d);
    const scales = d.promptPrecision === "f16" ? weightScales(gpu, stages, weights) : null;
    this.#gpu = gpu;
    this.#dimensions = d;
    this.rows = buffers.rows;
    this.logits = buffers.logits;
    this.#promptIds = buffers.promptIds;
    this.#span = span;
    this.#owned = [...Object.values(buffers), span, ...caches, ...scales?.values() ?? []];
    this.#decode = decodeSteps(stages, weights, buffers, caches);
    this.#prompt = promptSteps(stages, weights, buffers, caches, span, scales);
  }

  /**
   * Encodes the pass of the rows in {@linkcode rows}.
   *
   * @param maxRows Rows the pass can have at most.
   * @param maxLength Tokens the text can have at most, the pass's rows included.
   */
  encode(pass: GPUComputePassEncoder, maxRows: number, maxLength: number): void {
    const chunks = Math.min(this.#dimensions.slots, Math.ceil(maxLength / CHUNK));
    encode(pass, this.#decode.map((step) => sized(step, maxRows, chunks)));
  }

  /** Runs the tokens of a prompt through the layers, which leaves their keys and values in the cache.
   *
   * @param tokens Token ids, from position 0.
   * @param proceed Asked before each chunk but the first; false ends the prefill there.
   */
  async prefill(
    tokens: readonly number[],
    proceed: () => boolean | Promise<boolean> = () => true,
  ): Promise<void> {
    const { promptRows } = this.#dimensions;
    const { device } = this.#gpu;
    for (let position = 0; position < tokens.length; position += promptRows) {
      if (position > 0 && !await proceed()) return;
      const steps = this.#chunk(tokens.slice(position, position + promptRows), position);
      for (let i = 0; i < steps.length; i += SUBMITTED_STEPS) {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        encode(pass, steps.slice(i, i + SUBMITTED_STEPS));
        pass.end();
        device.queue.submit([encoder.finish()]);
      }
    }
  }

  /**
   * Encodes a chunk of a prompt, and puts its tokens in place for it, so that a submission holds one chunk.
   *
   * @param ids Its token ids, one at least and no more than fit a chunk.
   * @param position Where in the text it begins.
   */
  encodePrompt(pass: GPUComputePassEncoder, ids: readonly number[], position: number): void {
    encode(pass, this.#chunk(ids, position));
  }

  /** Puts a chunk's tokens in place, and gives its dispatches. */
  #chunk(ids: readonly number[], position: number): Dispatch[] {
    const { queue } = this.#gpu.device;
    queue.writeBuffer(this.#promptIds, 0, new Uint32Array([ids.length, ...ids]));
    queue.writeBuffer(this.#span, 0, new Uint32Array([ids.length, position]));
    return this.#prompt.map((step) => sized(step, ids.length, 0));
  }

  /** Frees the cache and the workspaces. */
  [Symbol.dispose](): void {
    for (const buffer of this.#owned) this.#gpu.free(buffer);
  }
}

function sized({ kernel, bindings, workgroups }: Step, size: number, chunks: number): Dispatch {
  return { kernel, bindings, workgroups: workgroups(size, chunks) };
}

/** Compiles the stages with this model's shapes. */
class Stages {
  readonly config: MistralConfig;
  readonly dimensions: Dimensions;
  readonly compiler: Compiler;
  /** Constants that mean the same in every stage. */
  readonly #shape: Record<string, number>;

  constructor(compiler: Compiler, config: MistralConfig, d: Dimensions) {
    const half = config.headDim / 2;
    this.compiler = compiler;
    this.config = config;
    this.dimensions = d;
    this.#shape = {
      HIDDEN: config.hiddenSize,
      EPSILON: config.rmsNormEps,
      HEADS: config.numAttentionHeads,
      KV_HEADS: config.numKeyValueHeads,
      HALF: half,
      WINDOW: config.slidingWindow ?? 0xffffffff,
      SCALE: 1 / Math.sqrt(config.headDim),
      CAPACITY: d.capacity,
      SLOTS: d.slots,
      VOCAB: config.vocabSize,
    };
  }

  /** A stage that reads no weights. */
  kernel(
    stage: "attend" | "combine" | "promptAttend" | "promptGate" | "promptNormalize" | "promptRope",
    constants: Record<string, number> = {},
  ): Kernel {
    const variant = { cache: this.dimensions.cache };
    return this.compiler.kernel(stage, variant, {
      ...this.#shape,
      ...this.#tile(stage).constants,
      ...constants,
    });
  }

  /** A stage that reads a matrix. */
  product(
    stage:
      | "embed"
      | "promptEmbed"
      | "qkv"
      | "project"
      | "gateUp"
      | "head"
      | "promptScales"
      | PromptProduct["stage"],
    { type, k8 }: Pick<Matrix, "type" | "k8">,
    constants: Record<string, number> = {},
  ): Kernel {
    const variant = { weights: type, cache: this.dimensions.cache };
    return this.compiler.kernel(stage, variant, { ...this.#shape, K8: k8, ...constants });
  }

  /** Workgroups that attention needs for so many rows of one key head. */
  attentionTiles(stage: "attend" | "promptAttend", rows: number): number {
    const { numAttentionHeads, numKeyValueHeads } = this.config;
    return Math.ceil(rows * numAttentionHeads / numKeyValueHeads / this.#tile(stage).queries);
  }

  #tile(stage: string): AttentionTile {
    const { attentionThreads, profile } = this.compiler;
    const mostQuads = stage === "attend" ? profile.quadsTogether : 2;
    return attentionTile(this.config.headDim / 2, attentionThreads, mostQuads);
  }
}

/** embed, then each layer's qkv, attend, combine, out, gate and up, down; then the head. */
function decodeSteps(
  stages: Stages,
  weights: Weights,
  b: Record<Workspace, GPUBuffer>,
  caches: readonly GPUBuffer[],
): Step[] {
  const { hiddenStride, attentionStride, intermediateStride } = stages.dimensions;
  // How a stage lays out rows that a product with `matrix` reads.
  const rowsFor = ({ type }: Matrix, stride: number) => {
    return { STRIDE: passStride(stride), PLANES: planes(type) };
  };
  const { groups, profile: { spread } } = stages.compiler;
  const steps: Step[] = [];
  const add = (
    kernel: Kernel,
    buffers: GPUBuffer[],
    workgroups: Step["workgroups"],
  ) => steps.push({ kernel, bindings: kernel.bind(...buffers), workgroups });
  // A quad is four weight rows, shared by `lanes` threads.
  const quads = (part: MatrixPart) => {
    const count = Math.ceil(part.rows / 4 / groups);
    return () => [count] as const;
  };

  // What a stage that changes the residual stream writes, and the gain of the norm that comes next.
  const stream = (gain: GPUBuffer) => [b.residual, b.gained, b.squares, gain];
  const first = weights.layers[0]!;
  for (const part of weights.embedding.parts) {
    const layout = rowsFor(first.qkv, hiddenStride);
    const kernel = stages.product("embed", weights.embedding, layout);
    const next = stream(first.inputNorm);
    add(kernel, [part.buffer, b.rows, part.decode, ...next], (rows) => [rows]);
  }
  weights.layers.forEach((layer, i) => {
    const cache = caches[i]!;
    for (const part of layer.qkv.parts) {
      const kernel = stages.product("qkv", layer.qkv);
      const { buffer, decode } = part;
      add(
        kernel,
        [buffer, b.rows, b.gained, b.squares, b.rope, b.q, cache, decode],
        quads(part),
      );
    }
    add(
      stages.kernel("attend"),
      [b.rows, b.q, cache, b.sums, b.peaks],
      (rows, chunks) => [
        chunks,
        stages.config.numKeyValueHeads,
        Math.min(stages.attentionTiles("attend", rows), spread),
      ],
    );
    add(
      stages.kernel("combine", rowsFor(layer.out, attentionStride)),
      [b.rows, b.sums, b.peaks, b.attention],
      (rows) => [stages.config.numAttentionHeads, Math.min(rows, spread)],
    );
    for (const part of layer.out.parts) {
      const kernel = stages.product("project", layer.out, rowsFor(layer.gateUp, hiddenStride));
      const next = stream(layer.postNorm);
      add(kernel, [part.buffer, b.rows, b.attention, ...next, part.decode], quads(part));
    }
    for (const part of layer.gateUp.parts) {
      const kernel = stages.product(
        "gateUp",
        layer.gateUp,
        rowsFor(layer.down, intermediateStride),
      );
      add(kernel, [part.buffer, b.rows, b.gained, b.squares, b.h, part.decode], quads(part));
    }
    const after = weights.layers[i + 1];
    for (const part of layer.down.parts) {
      const layout = rowsFor(after?.qkv ?? weights.head, hiddenStride);
      const kernel = stages.product("project", layer.down, layout);
      const next = stream(after?.inputNorm ?? weights.norm);
      add(kernel, [part.buffer, b.rows, b.h, ...next, part.decode], quads(part));
    }
  });
  for (const part of weights.head.parts) {
    const kernel = stages.product("head", weights.head);
    add(kernel, [part.buffer, b.rows, b.gained, b.squares, b.logits, part.decode], quads(part));
  }
  return steps;
}

/** The same for a chunk of a prompt, without the head: only keys and values are wanted. */
function promptSteps(
  stages: Stages,
  weights: Weights,
  b: Record<Workspace, GPUBuffer>,
  caches: readonly GPUBuffer[],
  span: GPUBuffer,
  scales: ReadonlyMap<MatrixPart, GPUBuffer> | null,
): Step[] {
  const { config } = stages;
  const { hiddenStride, attentionStride, intermediateStride, qkvSize } = stages.dimensions;
  const steps: Step[] = [];
  const add = (
    kernel: Kernel,
    buffers: GPUBuffer[],
    workgroups: Step["workgroups"],
  ) => steps.push({ kernel, bindings: kernel.bind(...buffers), workgroups });
  const matmul = (
    matrix: Matrix,
    input: GPUBuffer,
    output: GPUBuffer,
    constants: { STRIDE: number; ADD: number },
  ) => {
    const { stage, ...tile } = scales ? F16_PRODUCT : stages.compiler.promptProduct;
    if (scales) {
      const kernel = stages.product("promptScales", { type: "F32", k8: matrix.k8 });
      add(kernel, [input, b.promptScales, span], (size) => [size]);
    }
    const kernel = stages.product(stage, matrix, constants);
    for (const part of matrix.parts) {
      const across = Math.ceil(part.rows / tile.outputs);
      const buffers = [part.buffer, input, output, part.prompt, span];
      if (scales) buffers.push(b.promptScales, scales.get(part)!);
      add(kernel, buffers, (size) => [across, Math.ceil(size / tile.rows)]);
    }
  };
  const normalize = stages.kernel("promptNormalize", { STRIDE: hiddenStride });
  const threads = (count: number): Step["workgroups"] => (size) => [Math.ceil(count / 64), size];

  for (const part of weights.embedding.parts) {
    const kernel = stages.product("promptEmbed", weights.embedding);
    add(kernel, [part.buffer, b.promptIds, part.decode, b.promptX], (size) => [size]);
  }
  weights.layers.forEach((layer, i) => {
    const cache = caches[i]!;
    add(normalize, [b.promptX, layer.inputNorm, b.promptNormed], (size) => [size]);
    matmul(layer.qkv, b.promptNormed, b.promptQkv, { STRIDE: qkvSize, ADD: 0 });
    add(
      stages.kernel("promptRope", { STRIDE: qkvSize }),
      [b.promptQkv, b.rope, b.promptQ, cache, span],
      threads(qkvSize / 2),
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
      add(kernel, [b.promptGateUp, b.promptH, part.decode], threads(part.count));
    }
    matmul(layer.down, b.promptH, b.promptX, { STRIDE: hiddenStride, ADD: 1 });
  });
  return steps;
}

/** The scales of the layers' weight rows, [rows] f32 for each part: prompt/scales.wgsl. */
function weightScales(gpu: Gpu, stages: Stages, weights: Weights): Map<MatrixPart, GPUBuffer> {
  const scales = new Map<MatrixPart, GPUBuffer>();
  const spans: GPUBuffer[] = [];
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const matrix of matricesOf(weights.layers)) {
    const kernel = stages.product("promptScales", matrix);
    for (const part of matrix.parts) {
      const { buffer, rows } = part;
      const target = gpu.buffer("scales of weight rows", rows * 4);
      const span = gpu.uniform("weight rows", [rows]);
      const across = Math.min(rows, MAX_WORKGROUPS);
      const bindings = kernel.bind(buffer, target, span);
      encode(pass, [{ kernel, bindings, workgroups: [across, Math.ceil(rows / across)] }]);
      scales.set(part, target);
      spans.push(span);
    }
  }
  pass.end();
  gpu.device.queue.submit([encoder.finish()]);
  for (const span of spans) gpu.free(span); // WebGPU keeps it until the work is done
  return scales;
}
