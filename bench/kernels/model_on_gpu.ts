/**
 * A few layers of a model's real shape with made-up weights, and the stages that the engine runs on them.
 *
 * @module
 */
import { chain, rowWords } from "../../decode/rows.ts";
import type { Gpu } from "../../kernels/device.ts";
import { Compiler } from "../../kernels/compiler.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import type { MistralConfig } from "../../model/config.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights } from "../../model/layout.ts";
import { dimensions, promptChunk, type PromptPrecision } from "../../model/memory.ts";
import { loadWeights } from "../../model/weights.ts";
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

  private constructor(
    config: MistralConfig,
    context: number,
    gpu: Gpu,
    forward: Forward,
    forwardF16: Forward | null,
    recorder: Recorder,
  ) {
    this.config = config;
    this.context = context;
    this.#gpu = gpu;
    this.#forward = forward;
    this.#forwardF16 = forwardF16;
    this.#recorder = recorder;
  }

  /** Makes the weights and puts them on the GPU, to which they belong. */
  static async load(gpu: Gpu, config: MistralConfig, context: number): Promise<ModelOnGpu> {
    const recorder = new Recorder(gpu);
    const source = randomWeights(config);
    const limit = Math.min(gpu.info.maxBindingBytes, gpu.info.maxBufferBytes);
    const layout = layOutWeights(config, (tensor) => source.tensors.get(tensor)!.dtype, limit);
    const weights = await loadWeights(gpu, source, layout);
    const forwardIn = (precision: PromptPrecision) => {
      const d = dimensions(config, context, "f16", precision, promptChunk(gpu.info));
      return new Forward(gpu, new Compiler(gpu), config, weights, d);
    };
    const forwardF16 = gpu.info.hasF16 ? forwardIn("f16") : null;
    forwardF16?.prepare(); // so that it is no part of a prompt
    return new ModelOnGpu(config, context, gpu, forwardIn("f32"), forwardF16, recorder);
  }

  /**
   * The stages of a decoding pass of `rows` rows in a line that ends a text of `length` tokens. They can be
   * run until those of another pass are asked for.
   */
  async decode(rows: number, length: number): Promise<StageWork[]> {
    const words = rowWords(chain(0, new Array(rows - 1).fill(0)), length - rows);
    this.#gpu.device.queue.writeBuffer(this.#forward.rows, 0, words);
    return stages(
      await this.#recorder.record(() => {
        const encoder = this.#gpu.device.createCommandEncoder();
        this.#forward.encode(encoder.beginComputePass(), MAX_ROWS, length);
      }),
    );
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
    return { stages: stages(last), tokens: length - (chunks - 1) * chunk };
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

const WEIGHTS = /^weights of (layer \d+ )?(.*)$/;
/** Stages that make up attention in a decoding pass. */
const ATTENTION = new Set(["attend", "combine"]);

/** Puts together what is done in every layer, in the order of the first. */
function stages(recorded: readonly Recorded[]): StageWork[] {
  const found = new Map<string, { recorded: Recorded[]; layers: Set<string>; bytes: number }>();
  for (const dispatch of recorded) {
    const weights = dispatch.bound.find(({ label }) => WEIGHTS.test(label));
    const [, layer = "", matrix] = weights?.label.match(WEIGHTS) ?? [];
    const name = matrix ?? (ATTENTION.has(dispatch.stage) ? "attention" : dispatch.stage);
    const cache = dispatch.bound.find(({ label }) => label.startsWith("KV cache"));
    const work = found.get(name) ?? { recorded: [], layers: new Set(), bytes: 0 };
    found.set(name, work);
    work.recorded.push(dispatch);
    if (weights || cache) work.layers.add(layer || cache?.label || "");
    work.bytes += weights?.size ?? 0;
  }
  return [...found].map(([name, { recorded, layers, bytes }]) => ({
    name,
    layers: Math.max(1, layers.size),
    weightBytes: bytes,
    encode: (pass) => recorded.forEach((dispatch) => dispatch.encode(pass)),
  }));
}
