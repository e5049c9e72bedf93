/**
 * A few layers of a model's real shape with made-up weights, and the stages that the engine runs on them.
 *
 * @module
 */
import { measureProfile } from "../../decode/device_profile.ts";
import { chain, rowWords } from "../../decode/rows.ts";
import type { Gpu } from "../../kernels/device.ts";
import { Compiler } from "../../kernels/compiler.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import type { MistralConfig } from "../../model/config.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights, matricesOf } from "../../model/layout.ts";
import { dimensions, promptChunk, type PromptPrecision } from "../../model/memory.ts";
import { loadWeights } from "../../model/weights.ts";
import { maxPartBytes, moveToTextures } from "../../model/weight_textures.ts";
import { randomWeights } from "../random_weights.ts";
import { type Recorded, Recorder } from "./recorder.ts";

/** The dispatches that do the same in every layer. */
export interface StageWork {
  /** A matrix's name as in model/layout.ts ("qkv", "gate and up"), "attention", or else the stage's. */
  readonly name: string;
  /** Layers it is done in; 1 for what is done once a pass. */
  readonly layers: number;
  /** Bytes of weights it reads, in all layers. */
  readonly weightBytes: number;
  /** Encodes it for all layers. */
  readonly encode: (pass: GPUComputePassEncoder) => void;
}

/** Layers on the GPU, ready to be timed stage by stage. */
export class ModelOnGpu {
  readonly config: MistralConfig;
  readonly context: number;
  #gpu: Gpu;
  #forward: Forward;
  #forwardF16: Forward | null;
  #recorder: Recorder;
  /** Bytes of each matrix, by its label. */
  #bytes: ReadonlyMap<string, number>;

  private constructor(
    config: MistralConfig,
    context: number,
    gpu: Gpu,
    forward: Forward,
    forwardF16: Forward | null,
    recorder: Recorder,
    bytes: ReadonlyMap<string, number>,
  ) {
    this.config = config;
    this.context = context;
    this.#gpu = gpu;
    this.#forward = forward;
    this.#forwardF16 = forwardF16;
    this.#recorder = recorder;
    this.#bytes = bytes;
  }

  /** Makes the weights and puts them on the GPU, to which they belong. */
  static async load(gpu: Gpu, config: MistralConfig, context: number): Promise<ModelOnGpu> {
    const recorder = new Recorder(gpu);
    const source = randomWeights(config);
    const limit = maxPartBytes(gpu.info);
    const layout = layOutWeights(config, (tensor) => source.tensors.get(tensor)!.dtype, limit);
    const inBuffers = await loadWeights(gpu, source, layout);
    const dimensionsIn = (precision: PromptPrecision) =>
      dimensions(config, context, "f16", precision, promptChunk(gpu.info));
    const any = new Compiler(gpu);
    const profile = await measureProfile(gpu, any, config, inBuffers, dimensionsIn("f32"));
    const compiler = profile ? any.withProfile(profile) : any;
    const isInTextures = compiler.profile.weightStorage === "texture";
    const weights = isInTextures ? moveToTextures(gpu, inBuffers) : inBuffers;
    const forwardIn = (precision: PromptPrecision) =>
      new Forward(gpu, compiler, config, weights, dimensionsIn(precision));
    const forwardF16 = gpu.info.hasF16 ? forwardIn("f16") : null;
    forwardF16?.prepare(); // so that it is no part of a prompt
    const { embedding, layers, head } = layout;
    const bytes = new Map(
      [embedding, ...matricesOf(layers), head].map(({ label, parts }) =>
        [label, parts.reduce((sum, { bytes }) => sum + bytes, 0)] as const
      ),
    );
    return new ModelOnGpu(config, context, gpu, forwardIn("f32"), forwardF16, recorder, bytes);
  }

  /**
   * The stages of a decoding pass of `rows` rows in a line that ends a text of `length` tokens. They can be
   * run until those of another pass are asked for.
   */
  async decode(rows: number, length: number): Promise<StageWork[]> {
    const words = rowWords(chain(0, new Array(rows - 1).fill(0)), length - rows);
    this.#gpu.device.queue.writeBuffer(this.#forward.rows, 0, words);
    const recorded = await this.#recorder.record(() => {
      const encoder = this.#gpu.device.createCommandEncoder();
      this.#forward.encode(encoder.beginComputePass(), MAX_ROWS, length);
    });
    return stages(recorded, this.#bytes);
  }

  /**
   * The stages of the last chunk of a prompt of so many tokens.
   *
   * @returns The stages, and the chunk's tokens; null where the device does not compute in that precision.
   */
  async prompt(
    length: number,
    precision: PromptPrecision,
  ): Promise<{ stages: StageWork[]; tokens: number } | null> {
    const forward = precision === "f16" ? this.#forwardF16 : this.#forward;
    if (!forward) return null;
    const chunk = Math.min(this.context, promptChunk(this.#gpu.info));
    const chunks = Math.ceil(length / chunk);
    const recorded = await this.#recorder.record(async () => {
      await forward.prefill(new Array(length).fill(1), 0);
    });
    const last = recorded.slice(-recorded.length / chunks);
    return { stages: stages(last, this.#bytes), tokens: length - (chunks - 1) * chunk };
  }

  /** Weights of a matrix by its name in {@linkcode StageWork}; 0 for what is no matrix. */
  weights(name: string): number {
    const { hiddenSize, intermediateSize, headDim, vocabSize, ...c } = this.config;
    const queries = c.numAttentionHeads * headDim;
    const sizes: Record<string, number> = {
      "qkv": hiddenSize * (queries + 2 * c.numKeyValueHeads * headDim),
      "out": hiddenSize * queries,
      "gate and up": hiddenSize * 2 * intermediateSize,
      "down": hiddenSize * intermediateSize,
      "head": hiddenSize * vocabSize,
    };
    return sizes[name] ?? 0;
  }
}

const WEIGHTS = /^weights of ((layer \d+ )?(.*))$/;
/** Stages that make up attention in a decoding pass. */
const ATTENTION = new Set(["attend", "combine"]);

/** Puts together what is done in every layer, in the order of the first. */
function stages(recorded: readonly Recorded[], bytes: ReadonlyMap<string, number>): StageWork[] {
  const found = new Map<string, { recorded: Recorded[]; layers: Set<string>; read: Set<string> }>();
  for (const dispatch of recorded) {
    const weights = dispatch.bound.find(({ label }) => WEIGHTS.test(label));
    const [, label, layer = "", matrix] = weights?.label.match(WEIGHTS) ?? [];
    const name = matrix ?? (ATTENTION.has(dispatch.stage) ? "attention" : dispatch.stage);
    const cache = dispatch.bound.find(({ label }) => label.startsWith("KV cache"));
    const work = found.get(name) ?? { recorded: [], layers: new Set(), read: new Set() };
    found.set(name, work);
    work.recorded.push(dispatch);
    if (weights || cache) work.layers.add(layer || cache?.label || "");
    if (label) work.read.add(label);
  }
  return [...found].map(([name, { recorded, layers, read }]) => ({
    name,
    layers: Math.max(1, layers.size),
    weightBytes: [...read].reduce((sum, label) => sum + bytes.get(label)!, 0),
    encode: (pass) => recorded.forEach((dispatch) => dispatch.encode(pass)),
  }));
}
