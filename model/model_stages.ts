/**
 * The stages of a forward pass, with a model's shapes.
 *
 * @module
 */
import { type AttentionTile, attentionTile } from "../kernels/attention_tile.ts";
import {
  type Bindable,
  type Bindings,
  Compiler,
  type Dispatch,
  type Kernel,
} from "../kernels/compiler.ts";
import type { PromptProduct } from "../kernels/profile.ts";
import type { MistralConfig } from "./config.ts";
import type { Dimensions } from "./memory.ts";
import type { Matrix } from "./weights.ts";

/** A stage bound to its buffers, whose workgroups follow from the size of the pass. */
export interface Step {
  readonly kernel: Kernel;
  readonly bindings: Bindings;
  readonly workgroups: (size: number, chunks: number) => Dispatch["workgroups"];
}

/** A stage, bound to its buffers in the order of their binding numbers. */
export function step(
  kernel: Kernel,
  buffers: readonly Bindable[],
  workgroups: Step["workgroups"],
): Step {
  return { kernel, bindings: kernel.bind(...buffers), workgroups };
}

/** What a step is for a pass of such a size. */
export function sized(
  { kernel, bindings, workgroups }: Step,
  size: number,
  chunks: number,
): Dispatch {
  return { kernel, bindings, workgroups: workgroups(size, chunks) };
}

/** The stages with this model's shapes. */
export class Stages {
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
      QUERY_BETA: config.queryScaling?.beta ?? 0,
      ORIGINAL: config.queryScaling?.originalMaxPositionEmbeddings ?? 1,
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
    { type, storage, k8 }: Pick<Matrix, "type" | "storage" | "k8">,
    constants: Record<string, number> = {},
  ): Kernel {
    const variant = { weights: type, storage, cache: this.dimensions.cache };
    return this.compiler.kernel(stage, variant, { ...this.#shape, K8: k8, ...constants });
  }

  /** Workgroups that attention needs for so many rows of one key head. */
  attentionTiles(stage: "attend" | "promptAttend", rows: number): number {
    const { numAttentionHeads, numKeyValueHeads } = this.config;
    return Math.ceil(rows * numAttentionHeads / numKeyValueHeads / this.#tile(stage).queries);
  }

  #tile(stage: string): AttentionTile {
    const { attention, profile, promptQuads } = this.compiler;
    const mostQuads = stage === "attend" ? profile.quadsTogether : promptQuads;
    return attentionTile(this.config.headDim / 2, attention, mostQuads);
  }
}
