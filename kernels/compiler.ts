/**
 * Compiles stages for a device, binds their buffers and encodes their dispatches.
 *
 * @module
 */
import { type AttentionRules, attentionRules } from "./attention_tile.ts";
import type { BufferRegion, Gpu } from "./device.ts";
import {
  defaultProfile,
  hasFewRegisters,
  type Profile,
  PROMPT_PRODUCTS,
  type PromptProduct,
  vectorLanes,
} from "./profile.ts";
import { type Stage, stageSource, type Variant, type VectorLanes } from "./stages.ts";
import { turn } from "./turn.ts";

/** A stage, which is compiled when it is first looked at. */
export interface Kernel {
  /** The pipeline. */
  readonly pipeline: GPUComputePipeline;
  /** Binds the stage's buffers, in the order of their binding numbers. */
  bind(...buffers: Bindable[]): Bindings;
}

/** What is bound to a stage. */
export interface Bindings {
  /** Made when it is first looked at: it has to know the compiled stage. */
  readonly group: GPUBindGroup;
}

/** What a kernel reads or writes. */
export type Bindable = GPUBuffer | BufferRegion | GPUTexture;

/**
 * Compiles stages for one device; the same stage, variant and constants are compiled once. Whoever wants the rest of the
 * program to go on meanwhile, and an abort to be seen, asks for all kernels, and then compiles them with
 * {@linkcode Compiler.compile}: the driver takes from milliseconds to a second for each, and the thread waits.
 */
export class Compiler {
  /** What kernels it chooses. */
  readonly profile: Profile;
  /** Threads that work together in a product: the smallest subgroup, or 8 without subgroups. */
  readonly lanes: number;
  /** Quads of outputs that a workgroup of a decoding product makes. */
  readonly quads: number;
  /** How chunks of a prompt are multiplied here, if in f32. */
  readonly promptProduct: PromptProduct;
  /** Quads of queries of a prompt that a workgroup's keys and values serve, if they fit its memory. */
  readonly promptQuads: 1 | 2;
  /** Lanes of subgroups that are a CPU's vector registers; null where they are not. */
  readonly vector: VectorLanes | null;
  /** What attention is laid out by. */
  readonly attention: AttentionRules;
  #gpu: Gpu;
  /** Subgroups of a workgroup of a decoding product. */
  #groups: number;
  /** Threads of a workgroup of the sampler. */
  #samplers: number;
  #kernels = new Map<string, Kernel>();

  /** A compiler for `gpu`. */
  constructor(gpu: Gpu, profile: Profile = defaultProfile(gpu.info)) {
    this.#gpu = gpu;
    this.profile = profile;
    this.lanes = gpu.info.subgroupSize ?? 8;
    this.vector = vectorLanes(gpu.info);
    this.attention = attentionRules(gpu.info);
    this.#groups = Math.max(1, profile.threads / this.lanes);
    this.#samplers = gpu.info.isSoftware ? 256 : mostSamplers(gpu.device.limits); // on a CPU no more are at once
    // Lanes share a quad, or each has its own.
    this.quads = this.vector ? this.#groups * this.lanes : this.#groups;
    this.promptProduct = PROMPT_PRODUCTS[profile.promptProduct];
    this.promptQuads = hasFewRegisters(gpu.info) ? 1 : 2;
  }

  /** One of another profile, which shares what this one has compiled and will compile. */
  withProfile(profile: Profile): Compiler {
    const compiler = new Compiler(this.#gpu, profile);
    compiler.#kernels = this.#kernels;
    return compiler;
  }

  /** Compiles what was asked for and has not been compiled, with a turn for the rest of the program after each stage. */
  async compile(signal?: AbortSignal): Promise<void> {
    for (const kernel of this.#kernels.values()) {
      signal?.throwIfAborted();
      void kernel.pipeline; // compiles it
      await turn();
    }
    signal?.throwIfAborted();
  }

  /**
   * A stage, to be compiled.
   *
   * @param constants Values of the stage's `override`s; those it does not declare are ignored.
   */
  kernel(stage: Stage, variant: Variant, constants: Record<string, number>): Kernel {
    const { source, used } = this.source(stage, variant, constants);
    const key = JSON.stringify([stage, variant, used]);
    const known = this.#kernels.get(key);
    if (known) return known;
    const kernel = lazyKernel(this.#gpu.device, stage, source, used);
    this.#kernels.set(key, kernel);
    return kernel;
  }

  /** A stage's text for this device, and the values of the `override`s in it. */
  source(
    stage: Stage,
    variant: Variant,
    constants: Record<string, number>,
  ): { source: string; used: Record<string, number> } {
    const { subgroupSize, subgroupVaries, convertsF16 } = this.#gpu.info;
    const lanes = subgroupSize === null ? "workgroup" : subgroupVaries ? "shuffle" : "subgroup";
    const source = stageSource(stage, variant, { lanes, vector: this.vector, convertsF16 });
    const all: Record<string, number> = {
      LANES: this.lanes,
      GROUPS: this.#groups,
      ROWS_TOGETHER: this.profile.rowsTogether,
      PIECES_TOGETHER: this.profile.piecesTogether,
      SAMPLERS: this.#samplers,
      ...constants,
    };
    const used: Record<string, number> = {};
    for (const [, name] of source.matchAll(/^override (\w+)/gm)) {
      const value = all[name!];
      if (value === undefined) throw new TypeError(`Stage ${stage} needs the constant ${name}`);
      used[name!] = value;
    }
    return { source, used };
  }
}

/** A kernel from its text, to be compiled. */
export function lazyKernel(
  device: GPUDevice,
  label: string,
  code: string,
  constants: Record<string, number>,
  entryPoint = "main",
): Kernel {
  const pipeline = once(() => {
    const module = device.createShaderModule({ label, code });
    const compute = { module, entryPoint, constants };
    return device.createComputePipeline({ label, layout: "auto", compute });
  });
  const layout = once(() => pipeline().getBindGroupLayout(0));
  return {
    get pipeline() {
      return pipeline();
    },
    bind(...buffers) {
      const entries = buffers.map((bound, binding) => {
        return { binding, resource: resourceOf(bound) };
      });
      const group = once(() => device.createBindGroup({ label, layout: layout(), entries }));
      return {
        get group() {
          return group();
        },
      };
    },
  };
}

function resourceOf(bound: Bindable): GPUBindingResource {
  if (bound instanceof GPUTexture) return bound.createView({ label: bound.label });
  return "buffer" in bound ? bound : { buffer: bound };
}

/** What makes something when it is first called, and gives it again later. */
function once<T extends object>(make: () => T): () => T {
  let made: T | null = null;
  return () => made ??= make();
}

/** Threads that a workgroup of the sampler can have: 1024, of which it needs 22 kB of memory, where a device has both. */
export function mostSamplers(limits: GPUSupportedLimits): 256 | 1024 {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = limits;
  return maxComputeInvocationsPerWorkgroup >= 1024 && maxComputeWorkgroupStorageSize >= 24576
    ? 1024
    : 256;
}

/** One dispatch of a compiled and bound stage. */
export interface Dispatch {
  /** The stage. */
  readonly kernel: Kernel;
  /** Its buffers. */
  readonly bindings: Bindings;
  /** Workgroups in x, y and z. */
  readonly workgroups: readonly [number, number?, number?];
}

/** Submits dispatches, in order. */
export function submit(device: GPUDevice, dispatches: Iterable<Dispatch>): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  encode(pass, dispatches);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

/** Encodes dispatches, in order. */
export function encode(pass: GPUComputePassEncoder, dispatches: Iterable<Dispatch>): void {
  for (const { kernel, bindings, workgroups } of dispatches) {
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, bindings.group);
    pass.dispatchWorkgroups(...workgroups);
  }
}
