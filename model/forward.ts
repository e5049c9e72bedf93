/**
 * The forward pass of a Mistral: embedding, layers and head for the few rows of a decoding pass, and the
 * layers alone for the chunks of a prompt.
 *
 * @module
 */
import { Compiler, type Dispatch, encode, submit } from "../kernels/compiler.ts";
import type { Gpu } from "../kernels/device.ts";
import { CHUNK } from "../kernels/stages.ts";
import type { MistralConfig } from "./config.ts";
import { decodeSteps } from "./decode_steps.ts";
import { cacheBytes, type Dimensions, type Workspace, workspaces } from "./memory.ts";
import { sized, Stages, type Step } from "./model_stages.ts";
import {
  promptRowsAt,
  promptSteps,
  promptStepsAtOnce,
  type WeightScales,
  weightScales,
} from "./prompt_steps.ts";
import { ropeTable } from "./rope.ts";
import type { Weights } from "./weights.ts";

/** The forward pass of one model on one device, with its KV cache and workspaces. Disposing it frees these. */
export class Forward implements Disposable {
  /** The rows of a pass, `Rows` in kernels/lib/rows.wgsl; decode/ fills it. */
  readonly rows: GPUBuffer;
  /** Positions that the KV cache keeps; under a sliding window later ones take the places of the first. */
  readonly capacity: number;
  /** Logits of every row of the pass just run, [MAX_ROWS][vocab_size] f32. */
  readonly logits: GPUBuffer;
  #gpu: Gpu;
  #config: MistralConfig;
  #dimensions: Dimensions;
  #decode: Step[];
  #prompt: Step[];
  #promptIds: GPUBuffer;
  #span: GPUBuffer;
  #weightScales: WeightScales | null; // until they are computed
  #owned: readonly GPUBuffer[];

  /** Allocates the cache and the workspaces, and binds the stages; the compiler compiles them later. */
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
    const { headDim, ropeTheta, ropeScaling } = config;
    gpu.write(buffers.rope, ropeTable(d.context, headDim, ropeTheta, ropeScaling));
    const span = gpu.uniform("prompt chunk: rows, position", [0, 0]);
    const bytes = cacheBytes(config, d);
    const caches = gpu.regions(
      "KV caches",
      weights.layers.map((_, i) => ({ label: `KV cache of layer ${i}`, bytes })),
    );
    const stages = new Stages(compiler, config, d);
    const scales = d.promptPrecision === "f16" ? weightScales(gpu, stages, weights) : null;
    this.#gpu = gpu;
    this.#config = config;
    this.#dimensions = d;
    this.rows = buffers.rows;
    this.capacity = d.capacity;
    this.logits = buffers.logits;
    this.#promptIds = buffers.promptIds;
    this.#span = span;
    const cached = new Set(caches.map(({ buffer }) => buffer));
    const ofScales = scales ? [...scales.scales.values(), ...scales.spans] : [];
    this.#owned = [...Object.values(buffers), span, ...cached, ...ofScales];
    this.#weightScales = scales;
    this.#decode = decodeSteps(stages, weights, buffers, caches);
    this.#prompt = promptSteps(stages, weights, buffers, caches, span, scales?.scales ?? null);
  }

  /**
   * The pass of the rows in {@linkcode rows}.
   *
   * @param maxRows Rows the pass can have at most.
   * @param maxLength Tokens the text can have at most, the pass's rows included.
   */
  dispatches(maxRows: number, maxLength: number): Dispatch[] {
    const chunks = Math.min(this.#dimensions.slots, Math.ceil(maxLength / CHUNK));
    return this.#decode.map((step) => sized(step, maxRows, chunks));
  }

  /** Encodes it. */
  encode(pass: GPUComputePassEncoder, maxRows: number, maxLength: number): void {
    encode(pass, this.dispatches(maxRows, maxLength));
  }

  /**
   * Computes what prompts need of the weights, unless that was done: before the first of them, or earlier, once the compiler
   * has compiled it.
   */
  prepare(): void {
    if (!this.#weightScales) return;
    const { dispatches, spans } = this.#weightScales;
    submit(this.#gpu.device, dispatches);
    for (const span of spans) this.#gpu.free(span); // WebGPU keeps it until the work is done
    this.#weightScales = null;
  }

  /**
   * Runs the tokens of a prompt through the layers, which leaves their keys and values in the cache. These do not depend
   * on what part of the prompt goes through at once.
   *
   * @param tokens Token ids, from position 0.
   * @param first How many of them need not go through, since their keys and values are there.
   * @param proceed Asked before each submission, of which a chunk is one or more; false ends the prefill there.
   * @returns How many tokens have their keys and values in the cache, or will: all, if it was not ended.
   */
  async prefill(
    tokens: readonly number[],
    first: number,
    proceed: () => boolean | Promise<boolean> = () => true,
  ): Promise<number> {
    const [config, d] = [this.#config, this.#dimensions];
    const { device } = this.#gpu;
    this.prepare();
    for (let position = first; position < tokens.length;) {
      const ids = tokens.slice(position, position + promptRowsAt(config, d, position));
      const steps = this.promptDispatches(ids, position);
      const { isSoftware } = this.#gpu.info;
      const atOnce = promptStepsAtOnce(config, d, steps.length, position, isSoftware);
      const submissions: GPUCommandBuffer[] = [];
      for (let i = 0; i < steps.length; i += atOnce) {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        encode(pass, steps.slice(i, i + atOnce));
        pass.end();
        submissions.push(encoder.finish());
      }
      // Asked this late because who is asked may wait for what runs while this chunk is encoded.
      for (const commands of submissions) {
        if (!await proceed()) return position;
        device.queue.submit([commands]);
      }
      position += ids.length;
    }
    return tokens.length;
  }

  /**
   * Puts a chunk of a prompt in place, one at a time, and gives its dispatches.
   *
   * @param ids Its token ids, one at least and no more than fit a chunk.
   * @param position Where in the text it begins.
   */
  promptDispatches(ids: readonly number[], position: number): Dispatch[] {
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
