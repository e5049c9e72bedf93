/**
 * The stages of a pass: which WGSL files make up each, and how they are compiled and bound.
 *
 * A stage is one file in this directory plus the parts of `lib/` it needs, which WGSL, having no
 * imports, sees as one text. Shapes are pipeline constants (`override`).
 *
 * @module
 */
import accept from "./accept.wgsl" with { type: "text" };
import attend from "./attend.wgsl" with { type: "text" };
import capture from "./capture.wgsl" with { type: "text" };
import choose from "./choose.wgsl" with { type: "text" };
import combine from "./combine.wgsl" with { type: "text" };
import draft from "./draft.wgsl" with { type: "text" };
import embed from "./embed.wgsl" with { type: "text" };
import gateUp from "./gate_up.wgsl" with { type: "text" };
import head from "./head.wgsl" with { type: "text" };
import project from "./project.wgsl" with { type: "text" };
import qkv from "./qkv.wgsl" with { type: "text" };
import quantize from "./quantize.wgsl" with { type: "text" };
import replay from "./replay.wgsl" with { type: "text" };
import sample from "./sample.wgsl" with { type: "text" };
import promptAttend from "./prompt/attend.wgsl" with { type: "text" };
import promptGate from "./prompt/gate.wgsl" with { type: "text" };
import promptMatmul from "./prompt/matmul.wgsl" with { type: "text" };
import promptMatmulF16 from "./prompt/matmul_f16.wgsl" with { type: "text" };
import promptMatmulLanes from "./prompt/matmul_lanes.wgsl" with { type: "text" };
import promptNormalize from "./prompt/normalize.wgsl" with { type: "text" };
import promptRope from "./prompt/rope.wgsl" with { type: "text" };
import promptScales from "./prompt/scales.wgsl" with { type: "text" };
import treeCandidates from "./tree/candidates.wgsl" with { type: "text" };
import treeGrow from "./tree/grow.wgsl" with { type: "text" };
import attention from "./lib/attention.wgsl" with { type: "text" };
import attentionMemory from "./lib/attention_memory.wgsl" with { type: "text" };
import attentionScores from "./lib/attention_scores.wgsl" with { type: "text" };
import attentionValues from "./lib/attention_values.wgsl" with { type: "text" };
import attentionVector from "./lib/attention_vector.wgsl" with { type: "text" };
import cachedF16 from "./lib/cached_f16.wgsl" with { type: "text" };
import cachedF32 from "./lib/cached_f32.wgsl" with { type: "text" };
import eight from "./lib/eight.wgsl" with { type: "text" };
import kvF16 from "./lib/kv_f16.wgsl" with { type: "text" };
import kvF32 from "./lib/kv_f32.wgsl" with { type: "text" };
import lanesShuffle from "./lib/lanes_shuffle.wgsl" with { type: "text" };
import lanesSubgroup from "./lib/lanes_subgroup.wgsl" with { type: "text" };
import lanesWorkgroup from "./lib/lanes_workgroup.wgsl" with { type: "text" };
import norm from "./lib/norm.wgsl" with { type: "text" };
import plan from "./lib/plan.wgsl" with { type: "text" };
import planes from "./lib/planes.wgsl" with { type: "text" };
import product from "./lib/product.wgsl" with { type: "text" };
import promptProduct from "./lib/prompt_product.wgsl" with { type: "text" };
import promptResidual from "./lib/prompt_residual.wgsl" with { type: "text" };
import promptTile from "./lib/prompt_tile.wgsl" with { type: "text" };
import quantized from "./lib/quantized.wgsl" with { type: "text" };
import residual from "./lib/residual.wgsl" with { type: "text" };
import rowPeak from "./lib/row_peak.wgsl" with { type: "text" };
import rows from "./lib/rows.wgsl" with { type: "text" };
import silu from "./lib/silu.wgsl" with { type: "text" };
import source from "./lib/source.wgsl" with { type: "text" };
import slots from "./lib/slots.wgsl" with { type: "text" };
import state from "./lib/state.wgsl" with { type: "text" };
import tree from "./lib/tree.wgsl" with { type: "text" };
import weightsBf16 from "./lib/weights_bf16.wgsl" with { type: "text" };
import weightsF16 from "./lib/weights_f16.wgsl" with { type: "text" };
import weightsF32 from "./lib/weights_f32.wgsl" with { type: "text" };
import weightsQ4 from "./lib/weights_q4.wgsl" with { type: "text" };
import weightsQ8 from "./lib/weights_q8.wgsl" with { type: "text" };
import type { DeviceInfo, Gpu } from "./device.ts";
import type { WeightType } from "./weight_types.ts";

export type { WeightType } from "./weight_types.ts";

/** Rows of a pass at most: row 0 and 31 drafts. `MAX_ROWS` in lib/rows.wgsl. */
export const MAX_ROWS = 32;
/** Workgroups along one dimension that every device takes. */
export const MAX_WORKGROUPS = 65535;
/** Positions of an attention chunk. `CHUNK` in lib/attention.wgsl. */
export const CHUNK = 128;
/** Logits one workgroup of choose.wgsl looks at. */
export const SLICE = 4096;

/** How keys and values are stored. */
export type CacheType = "f16" | "f32";

/** How the lanes of a product add up: as a subgroup, as a part of one, or through workgroup memory. */
export type Lanes = keyof typeof lanesSources;

/** The variants a stage comes in. */
export interface Variant {
  /** For stages that read weights. */
  weights?: WeightType;
  /** For stages that touch the KV cache. */
  cache?: CacheType;
}

const weightSources = {
  BF16: weightsBf16,
  F16: weightsF16,
  F32: weightsF32,
  Q8: quantized + weightsQ8,
  Q4: quantized + weightsQ4,
};
const lanesSources = {
  subgroup: lanesSubgroup,
  shuffle: lanesShuffle,
  workgroup: lanesWorkgroup,
};
const cacheSources = { f16: kvF16, f32: kvF32 };
const cachedSources = { f16: cachedF16, f32: cachedF32 };
const attentionParts = attention + attentionScores + attentionValues;
const attentionSources = {
  memory: attentionParts + attentionMemory,
  vector: attentionParts + attentionVector,
};

/** Parts of `lib/` that come in one form. */
const libSources = {
  norm,
  plan,
  planes,
  promptProduct,
  promptResidual,
  promptTile,
  quantized,
  residual,
  rowPeak,
  rows,
  silu,
  source,
  state,
  tree,
};

type Lib = keyof typeof libSources | "weights" | "product" | "cache" | "attention";

const stages = {
  accept: [accept, "rows", "source", "state"],
  attend: [attend, "rows", "cache", "attention"],
  capture: [capture, "rows", "state"],
  choose: [choose, "rows"],
  combine: [combine, "rows", "planes"],
  draft: [draft, "rows", "source", "state", "plan"],
  embed: [embed, "weights", "planes", "residual"],
  gateUp: [gateUp, "rows", "weights", "product", "norm", "planes", "silu"],
  head: [head, "rows", "weights", "product", "norm"],
  project: [project, "rows", "weights", "product", "planes", "residual"],
  qkv: [qkv, "rows", "weights", "product", "norm", "cache"],
  quantize: [quantize, "weights", "quantized", "rowPeak"],
  replay: [replay, "rows"],
  sample: [sample, "rows"],
  promptAttend: [promptAttend, "rows", "cache", "attention"],
  promptEmbed: [embed, "weights", "promptResidual"],
  promptGate: [promptGate, "silu"],
  promptMatmul: [promptMatmul, "weights", "promptProduct", "promptTile"],
  promptMatmulF16: [promptMatmulF16, "weights", "promptProduct", "promptTile"],
  promptMatmulLanes: [promptMatmulLanes, "weights", "promptProduct"],
  promptNormalize: [promptNormalize],
  promptRope: [promptRope, "rows", "cache"],
  promptScales: [promptScales, "weights", "rowPeak"],
  treeCandidates: [treeCandidates, "rows", "state", "tree"],
  treeGrow: [treeGrow, "rows", "source", "state", "plan", "tree"],
} satisfies Record<string, [string, ...Lib[]]>;

/** A stage's name. */
export type Stage = keyof typeof stages;

/** All kernels in one text: what was measured of them holds as long as it stays the same. */
export function allSources(): string {
  return [
    ...Object.values(stages).map(([main]) => main),
    ...[libSources, weightSources, cacheSources, cachedSources, attentionSources].flatMap((
      sources,
    ) => Object.values(sources)),
    ...[eight, ...Object.values(lanesSources), product, slots],
  ].join("\n");
}

/**
 * The whole WGSL text of a stage, as the compiler sees it.
 *
 * @param lanes How the lanes of a product add up.
 * @param isVector Whether subgroups are a CPU's vector registers of eight.
 */
export function stageSource(
  stage: Stage,
  variant: Variant,
  lanes: Lanes,
  isVector: boolean,
): string {
  const [main, ...libs] = stages[stage] as [string, ...Lib[]];
  const part = (lib: Lib): string => {
    switch (lib) {
      case "weights":
        return eight + weightSources[variant.weights!];
      case "product":
        return product + lanesSources[lanes];
      case "attention":
        return attentionSources[isVector ? "vector" : "memory"] + cachedSources[variant.cache!];
      case "cache":
        return cacheSources[variant.cache!] + slots;
      default:
        return libSources[lib];
    }
  };
  const directive = stage === "promptMatmulF16" ? ["enable f16;"] : [];
  return [...directive, ...libs.map(part), main].join("\n");
}

/** A way to multiply a chunk of a prompt. */
export interface PromptProduct {
  readonly stage: "promptMatmul" | "promptMatmulF16" | "promptMatmulLanes";
  /** Rows and outputs that a workgroup makes. */
  readonly rows: number;
  readonly outputs: number;
}

/** The ways there are in f32: in tiles, for GPUs; lane by lane, for vector registers of 8 on a CPU. */
export const PROMPT_PRODUCTS = {
  tiles: { stage: "promptMatmul", rows: 64, outputs: 128 },
  lanes: { stage: "promptMatmulLanes", rows: 8, outputs: 32 },
} as const satisfies Record<Profile["promptProduct"], PromptProduct>;

/** The way with multiply-adds of f16. Its bits are others, so that speed alone must never choose it. */
export const F16_PRODUCT: PromptProduct = { stage: "promptMatmulF16", rows: 64, outputs: 128 };

/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

/** How a stage of attention is laid out. */
export interface AttentionTile {
  /** Queries that a workgroup takes together. */
  readonly queries: number;
  /** The constants that follow. */
  readonly constants: Record<string, number>;
}

/**
 * The layout of attention with heads of `2 · half` dimensions.
 *
 * @param threads Threads of a workgroup.
 * @param mostQuads Quads of queries in a workgroup; 1 where two do not fit its memory.
 */
export function attentionTile(half: number, threads: number, mostQuads: 1 | 2): AttentionTile {
  const half8 = Math.ceil(half / 8) * 8;
  const pool = 2 * half8 + CHUNK; // of a quad, in vec4f
  // With it a prompt's sums, and what the threads find of two quads, whether there are two or not.
  const bytes = (quads: number) => quads * (16 * pool + 32 * half) + threads * 2 * 32;
  const quads = mostQuads === 2 && bytes(2) <= WORKGROUP_BYTES ? 2 : 1;
  return {
    queries: 4 * quads,
    constants: {
      HALF8: half8,
      THREADS: threads,
      QUADS: quads,
      POOL: quads * pool,
      SUMS: quads * half,
    },
  };
}

/** A compiled stage. */
export interface Kernel {
  /** The pipeline. */
  readonly pipeline: GPUComputePipeline;
  /** Binds the stage's buffers, in the order of their binding numbers. */
  bind(...buffers: GPUBuffer[]): GPUBindGroup;
}

/** Choices among kernels that are equal to the bit and differ in speed, each from device to device. */
export interface Profile {
  /** Rows of a decoding pass that meet a lane's weights in registers. */
  readonly rowsTogether: 4 | 8 | 16;
  /** Pieces of weights that a lane of a decoding product asks for before it needs the first. */
  readonly piecesTogether: 1 | 2 | 4;
  /** Threads of a workgroup of a decoding product, a multiple of the lanes. */
  readonly threads: number;
  /** Quads of queries of a decoding pass that a workgroup's keys and values serve, if there are as many. */
  readonly quadsTogether: 1 | 2;
  /** Workgroups among which a stage that works row by row spreads its rows, at most. */
  readonly spread: number;
  /** How chunks of a prompt are multiplied, if in f32. */
  readonly promptProduct: "tiles" | "lanes";
}

/**
 * What may be chosen on a device: the first of each is what is taken unless another was measured to be faster.
 * Where the CPU plays the device there is nothing to choose: measuring takes 3 to 15 s there, and ends now with one
 * profile and now with another, about as fast as what is taken (llvmpipe, SwiftShader, two idle cores).
 */
export function profileChoices(
  info: DeviceInfo,
): { readonly [Name in keyof Profile]: readonly [Profile[Name], ...Profile[Name][]] } {
  const { isSoftware, subgroupSize, subgroupVaries } = info;
  const lanes = subgroupSize ?? 8;
  const threads = [64, 32, 128, 256].filter((threads) => threads >= lanes);
  if (isSoftware || subgroupSize === null) threads.length = 1;
  return {
    // Sixteen sums a lane are what software drivers keep in registers.
    rowsTogether: isSoftware ? [4] : [4, 8, 16],
    piecesTogether: isSoftware ? [1] : [2, 4, 1],
    threads: threads as [number, ...number[]],
    // Two read keys and values half as often; on a CPU one quad alone then costs as much as two (model in the box, one
    // row: 1.6 times on llvmpipe and 1.7 times on SwiftShader).
    quadsTogether: isSoftware ? [1] : [2, 1],
    // On a CPU an idle workgroup costs as much as a small busy one, and a pass without drafts would pay for the
    // drafts it does not have (attention of one row after 300, model in the box, llvmpipe: 2.6 ms with 2, 1.7 with 1).
    spread: isSoftware ? [1] : [MAX_ROWS, 8, 2],
    promptProduct: isVector(info)
      ? ["lanes"]
      : subgroupSize === 8 && !subgroupVaries
      ? ["tiles", "lanes"]
      : ["tiles"],
  };
}

function isVector({ isSoftware, subgroupSize, subgroupVaries }: DeviceInfo): boolean {
  return isSoftware && subgroupSize === 8 && !subgroupVaries;
}

/** The profile of a device on which nothing was measured. */
export function defaultProfile(info: DeviceInfo): Profile {
  const choices = profileChoices(info);
  const { rowsTogether, piecesTogether, threads, quadsTogether, spread, promptProduct } = choices;
  return {
    rowsTogether: rowsTogether[0],
    piecesTogether: piecesTogether[0],
    threads: threads[0],
    quadsTogether: quadsTogether[0],
    spread: spread[0],
    promptProduct: promptProduct[0],
  };
}

/** Whether a value is a profile for a device. */
export function isProfile(value: unknown, info: DeviceInfo): value is Profile {
  return Object.entries(profileChoices(info)).every(([name, choices]) =>
    (choices as readonly unknown[]).includes(Object(value)[name])
  );
}

/** Compiles stages for one device; the same stage, variant and constants are compiled once. */
export class Compiler {
  /** What kernels it chooses. */
  readonly profile: Profile;
  /** Threads that share the outputs of a product: the smallest subgroup, or 8 without subgroups. */
  readonly lanes: number;
  /** Quads of outputs that a workgroup of a product makes. */
  readonly groups: number;
  /** How chunks of a prompt are multiplied here, if in f32. */
  readonly promptProduct: PromptProduct;
  /** Whether subgroups are a CPU's vector registers of eight. */
  readonly isVector: boolean;
  /**
   * Threads of a workgroup of attention. Two keys a thread; on a CPU four, since each thread takes part in every
   * barrier. By rule and not by timing: the order of sums depends on it.
   */
  readonly attentionThreads: 32 | 64;
  #gpu: Gpu;
  #kernels = new Map<string, Kernel>();

  /** A compiler for `gpu`. */
  constructor(gpu: Gpu, profile: Profile = defaultProfile(gpu.info)) {
    this.#gpu = gpu;
    this.profile = profile;
    this.lanes = gpu.info.subgroupSize ?? 8;
    this.groups = Math.max(1, profile.threads / this.lanes);
    this.attentionThreads = gpu.info.isSoftware ? 32 : 64;
    this.isVector = isVector(gpu.info);
    this.promptProduct = PROMPT_PRODUCTS[profile.promptProduct];
  }

  /** One of another profile, which shares what this one has compiled and will compile. */
  withProfile(profile: Profile): Compiler {
    const compiler = new Compiler(this.#gpu, profile);
    compiler.#kernels = this.#kernels;
    return compiler;
  }

  /**
   * Compiles a stage.
   *
   * @param constants Values of the stage's `override`s; those it does not declare are ignored.
   */
  kernel(stage: Stage, variant: Variant, constants: Record<string, number>): Kernel {
    const { source, used } = this.source(stage, variant, constants);
    const key = JSON.stringify([stage, variant, used]);
    const known = this.#kernels.get(key);
    if (known) return known;
    const { device } = this.#gpu;
    const module = device.createShaderModule({ label: stage, code: source });
    const pipeline = device.createComputePipeline({
      label: stage,
      layout: "auto",
      compute: { module, entryPoint: "main", constants: used },
    });
    const layout = pipeline.getBindGroupLayout(0);
    const kernel = {
      pipeline,
      bind: (...buffers: GPUBuffer[]) =>
        device.createBindGroup({
          label: stage,
          layout,
          entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
        }),
    };
    this.#kernels.set(key, kernel);
    return kernel;
  }

  /** A stage's text for this device, and the values of the `override`s in it. */
  source(
    stage: Stage,
    variant: Variant,
    constants: Record<string, number>,
  ): { source: string; used: Record<string, number> } {
    const { subgroupSize, subgroupVaries } = this.#gpu.info;
    const lanes = subgroupSize === null ? "workgroup" : subgroupVaries ? "shuffle" : "subgroup";
    const source = stageSource(stage, variant, lanes, this.isVector);
    const all: Record<string, number> = {
      LANES: this.lanes,
      GROUPS: this.groups,
      ROWS_TOGETHER: this.profile.rowsTogether,
      PIECES_TOGETHER: this.profile.piecesTogether,
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

/** One dispatch of a compiled and bound stage. */
export interface Dispatch {
  /** The stage. */
  readonly kernel: Kernel;
  /** Its buffers. */
  readonly bindings: GPUBindGroup;
  /** Workgroups in x, y and z. */
  readonly workgroups: readonly [number, number?, number?];
}

/** Encodes dispatches, in order. */
export function encode(pass: GPUComputePassEncoder, dispatches: Iterable<Dispatch>): void {
  for (const { kernel, bindings, workgroups } of dispatches) {
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(...workgroups);
  }
}
