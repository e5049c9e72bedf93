/**
 * A model in its parts, for tests that look at what `loadModel` keeps to itself: logits, buffers, weights.
 *
 * @module
 */
import { Engine, type EngineOptions } from "../../decode/engine.ts";
import type { Pass } from "../../decode/flight.ts";
import { generationBuffers } from "../../decode/state.ts";
import type { Gpu } from "../../kernels/device.ts";
import { openGpu, type OpenOptions } from "../../kernels/open_gpu.ts";
import { Compiler } from "../../kernels/compiler.ts";
import type { CacheType } from "../../kernels/stages.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights, type WeightLayout } from "../../model/layout.ts";
import {
  checkMemory,
  type Dimensions,
  dimensions,
  type MemoryNeed,
  type PromptPrecision,
} from "../../model/memory.ts";
import { loadWeights, type Weights, type WeightSource } from "../../model/weights.ts";

/** How to load the parts. */
export interface PartsOptions {
  /** Tokens that prompt and answer may have together. */
  readonly context: number;
  /** Default "f16". */
  readonly cache?: CacheType;
  /** Default "f32". */
  readonly promptPrecision?: PromptPrecision;
  /** Prompt tokens of a pass at most. Default as on a CPU. */
  readonly promptChunk?: number;
  /** How to open the GPU. */
  readonly device?: OpenOptions;
}

/** A loaded model's parts. */
export class Parts implements Disposable {
  private constructor(
    readonly gpu: Gpu,
    readonly layout: WeightLayout,
    readonly dimensions: Dimensions,
    readonly memory: MemoryNeed,
    readonly weights: Weights,
    readonly forward: Forward,
    readonly engine: Engine,
  ) {}

  /** Loads a model as `loadFrom` does. */
  static async load(source: WeightSource, options: PartsOptions): Promise<Parts> {
    const { config } = source;
    const gpu = await openGpu(options.device);
    try {
      const layout = layOutWeights(
        config,
        (tensor) => source.tensors.get(tensor)!.dtype,
        gpu.info.maxBindingBytes,
      );
      const d = dimensions(
        config,
        options.context,
        options.cache ?? "f16",
        options.promptPrecision,
        options.promptChunk,
      );
      const others = (context: number) => generationBuffers(config.vocabSize, context);
      const memory = checkMemory(config, layout, d, gpu.info, others);
      const weights = await loadWeights(gpu, source, layout);
      const compiler = new Compiler(gpu);
      const forward = new Forward(gpu, compiler, config, weights, d);
      const engine = new Engine(gpu, compiler, forward, config.vocabSize, options.context);
      return new Parts(gpu, layout, d, memory, weights, forward, engine);
    } catch (error) {
      gpu[Symbol.dispose]();
      throw error;
    }
  }

  /** Generates, and gives the tokens and the logits row that chose each. */
  async generate(
    prompt: readonly number[],
    options: Partial<EngineOptions> & { readonly maxNewTokens: number },
  ): Promise<{ tokens: number[]; logits: Float32Array[]; passes: Pass[] }> {
    const tokens: number[] = [];
    const logits: Float32Array[] = [];
    const passes: Pass[] = [];
    const defaults = {
      drafter: "original" as const,
      numDraft: 0,
      maxNgram: 3,
      rowCosts: [],
      eos: [],
      cachePrompt: false,
      logits: true,
      submissionsAhead: 4,
    };
    for await (const pass of this.engine.run(prompt, { ...defaults, ...options })) {
      tokens.push(...pass.tokens);
      for (const row of pass.logits ?? []) logits.push(new Float32Array(row.slice().buffer));
      passes.push(pass);
    }
    return { tokens, logits, passes };
  }

  [Symbol.dispose](): void {
    this.gpu[Symbol.dispose]();
  }
}
