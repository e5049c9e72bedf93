/**
 * The stages of a pass: which WGSL files make up each.
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
import attentionAlone from "./lib/attention_alone.wgsl" with { type: "text" };
import attentionKeys from "./lib/attention_keys.wgsl" with { type: "text" };
import attentionKeysVector from "./lib/attention_keys_vector.wgsl" with { type: "text" };
import attentionScores from "./lib/attention_scores.wgsl" with { type: "text" };
import attentionShared from "./lib/attention_shared.wgsl" with { type: "text" };
import attentionSums from "./lib/attention_sums.wgsl" with { type: "text" };
import attentionThreads from "./lib/attention_threads.wgsl" with { type: "text" };
import attentionValues from "./lib/attention_values.wgsl" with { type: "text" };
import attentionValuesVector from "./lib/attention_values_vector.wgsl" with { type: "text" };
import best from "./lib/best.wgsl" with { type: "text" };
import cachedF16 from "./lib/cached_f16.wgsl" with { type: "text" };
import cachedF32 from "./lib/cached_f32.wgsl" with { type: "text" };
import chunk from "./lib/chunk.wgsl" with { type: "text" };
import eight from "./lib/eight.wgsl" with { type: "text" };
import f16Builtin from "./lib/f16_builtin.wgsl" with { type: "text" };
import f16Computed from "./lib/f16_computed.wgsl" with { type: "text" };
import gumbel from "./lib/gumbel.wgsl" with { type: "text" };
import kvF16 from "./lib/kv_f16.wgsl" with { type: "text" };
import kvF32 from "./lib/kv_f32.wgsl" with { type: "text" };
import lanesShuffle from "./lib/lanes_shuffle.wgsl" with { type: "text" };
import lanesSubgroup from "./lib/lanes_subgroup.wgsl" with { type: "text" };
import lanesWorkgroup from "./lib/lanes_workgroup.wgsl" with { type: "text" };
import norm from "./lib/norm.wgsl" with { type: "text" };
import normAhead from "./lib/norm_ahead.wgsl" with { type: "text" };
import normVector from "./lib/norm_vector.wgsl" with { type: "text" };
import plan from "./lib/plan.wgsl" with { type: "text" };
import planes from "./lib/planes.wgsl" with { type: "text" };
import product from "./lib/product.wgsl" with { type: "text" };
import productVector from "./lib/product_vector.wgsl" with { type: "text" };
import promptProduct from "./lib/prompt_product.wgsl" with { type: "text" };
import promptResidual from "./lib/prompt_residual.wgsl" with { type: "text" };
import promptSumsEight from "./lib/prompt_sums_eight.wgsl" with { type: "text" };
import promptSumsFour from "./lib/prompt_sums_four.wgsl" with { type: "text" };
import promptTile from "./lib/prompt_tile.wgsl" with { type: "text" };
import quad from "./lib/quad.wgsl" with { type: "text" };
import quantized from "./lib/quantized.wgsl" with { type: "text" };
import quantizedGroups from "./lib/quantized_groups.wgsl" with { type: "text" };
import residual from "./lib/residual.wgsl" with { type: "text" };
import rotate from "./lib/rotate.wgsl" with { type: "text" };
import rowPeak from "./lib/row_peak.wgsl" with { type: "text" };
import rows from "./lib/rows.wgsl" with { type: "text" };
import silu from "./lib/silu.wgsl" with { type: "text" };
import slots from "./lib/slots.wgsl" with { type: "text" };
import source from "./lib/source.wgsl" with { type: "text" };
import state from "./lib/state.wgsl" with { type: "text" };
import threshold from "./lib/threshold.wgsl" with { type: "text" };
import texelHalves from "./lib/texel_halves.wgsl" with { type: "text" };
import texelWhole from "./lib/texel_whole.wgsl" with { type: "text" };
import tree from "./lib/tree.wgsl" with { type: "text" };
import vectorEight from "./lib/vector_eight.wgsl" with { type: "text" };
import vectorFour from "./lib/vector_four.wgsl" with { type: "text" };
import vectorDot from "./lib/vector_dot.wgsl" with { type: "text" };
import weightsBf16 from "./lib/weights_bf16.wgsl" with { type: "text" };
import weightsF16 from "./lib/weights_f16.wgsl" with { type: "text" };
import weightsF32 from "./lib/weights_f32.wgsl" with { type: "text" };
import weightsF8 from "./lib/weights_f8.wgsl" with { type: "text" };
import weightsInBuffer from "./lib/weights_in_buffer.wgsl" with { type: "text" };
import weightsInTexture from "./lib/weights_in_texture.wgsl" with { type: "text" };
import weightsQ4 from "./lib/weights_q4.wgsl" with { type: "text" };
import weightsQ8 from "./lib/weights_q8.wgsl" with { type: "text" };
import type { WeightStorage, WeightType } from "./weight_types.ts";

export type { WeightType } from "./weight_types.ts";

/** Rows of a pass at most: row 0 and 31 drafts. `MAX_ROWS` in lib/rows.wgsl. */
export const MAX_ROWS = 32;
/** Workgroups along one dimension that every device takes. */
export const MAX_WORKGROUPS = 65535;
/** Positions of an attention chunk. `CHUNK` in lib/chunk.wgsl. */
export const CHUNK = 128;
/** Logits one workgroup of choose.wgsl looks at. */
export const SLICE = 4096;

/** How keys and values are stored. */
export type CacheType = "f16" | "f32";

/** Lanes that a CPU's vector registers may have. */
export type VectorLanes = 4 | 8;

/** How the lanes of a product add up: as a subgroup, as a part of one, or through workgroup memory. */
export type Lanes = keyof typeof lanesSources;

/** The variants a stage comes in. */
export interface Variant {
  /** For stages that read weights. */
  weights?: WeightType;
  /** Where these lie. Default: in buffers. */
  storage?: WeightStorage;
  /** For stages that touch the KV cache. */
  cache?: CacheType;
}

const weightSources = {
  BF16: weightsBf16,
  F16: weightsF16,
  F32: weightsF32,
  F8: weightsF8,
  Q8: quantized + quantizedGroups + weightsQ8,
  Q4: quantized + quantizedGroups + weightsQ4,
};
const lanesSources = {
  subgroup: lanesSubgroup,
  shuffle: lanesShuffle,
  workgroup: lanesWorkgroup,
};
const cacheSources = { f16: kvF16, f32: kvF32 };
const cachedSources = { f16: cachedF16, f32: cachedF32 };
const attentionParts = chunk + attention + attentionScores + attentionSums;
const attentionSources = {
  vector: attentionParts + attentionKeysVector + attentionValuesVector,
  shared: attentionParts + attentionThreads + attentionKeys + attentionShared + attentionValues,
  alone: attentionParts + attentionThreads + attentionKeys + attentionAlone + attentionValues,
};

/** Parts of `lib/` that come in one form. */
const libSources = {
  best,
  chunk,
  gumbel,
  plan,
  planes,
  promptProduct,
  promptResidual,
  promptSumsEight,
  promptSumsFour,
  promptTile,
  quad,
  quantized,
  residual,
  rotate,
  rowPeak,
  rows,
  silu,
  source,
  state,
  threshold,
  tree,
};

type Lib =
  | keyof typeof libSources
  | "weights"
  | "lanes"
  | "product"
  | "norm"
  | "cache"
  | "attention"
  | "vectorDot";

const stages = {
  accept: [accept, "rows", "source", "state", "best"],
  attend: [attend, "rows", "cache", "attention"],
  capture: [capture, "rows", "state"],
  choose: [choose, "rows", "best"],
  combine: [combine, "rows", "planes", "chunk"],
  draft: [draft, "rows", "source", "state", "plan"],
  embed: [embed, "weights", "planes", "residual"],
  gateUp: [gateUp, "rows", "weights", "product", "norm", "planes", "silu"],
  head: [head, "rows", "weights", "product", "norm"],
  project: [project, "rows", "weights", "product", "planes", "residual"],
  qkv: [qkv, "rows", "weights", "product", "norm", "rotate", "cache"],
  quantize: [quantize, "weights", "quantized", "rowPeak"],
  replay: [replay, "rows", "best"],
  sample: [sample, "rows", "best", "threshold", "gumbel"],
  promptAttend: [promptAttend, "rows", "cache", "attention"],
  promptEmbed: [embed, "weights", "promptResidual"],
  promptGate: [promptGate, "silu"],
  promptMatmul: [promptMatmul, "weights", "promptProduct", "promptTile", "promptSumsEight"],
  promptMatmulLow: [promptMatmul, "weights", "promptProduct", "promptTile", "promptSumsFour"],
  promptMatmulF16: [promptMatmulF16, "weights", "promptProduct", "promptTile", "promptSumsEight"],
  promptMatmulLanes: [promptMatmulLanes, "weights", "promptProduct", "quad", "vectorDot"],
  promptNormalize: [promptNormalize, "lanes"],
  promptRope: [promptRope, "rows", "rotate", "cache"],
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
    ...[eight, ...Object.values(lanesSources), product, productVector, slots],
    ...[vectorDot, vectorFour, vectorEight],
    ...[f16Builtin, f16Computed],
    ...[norm, normAhead, normVector],
    ...[weightsInBuffer, weightsInTexture, texelWhole, texelHalves],
  ].join("\n");
}

/** What stages are written for. */
export interface Target {
  /** How the lanes of a product add up. */
  readonly lanes: Lanes;
  /** Lanes of subgroups that are a CPU's vector registers; null where they are not. */
  readonly vector: VectorLanes | null;
  /** Whether WGSL's conversions of f16 can be used. */
  readonly convertsF16: boolean;
}

/** How a stage comes at its weights' words: Q4's are of 8 bytes, all others of 16. */
function storageSource({ weights, storage }: Variant): string {
  if (storage !== "texture") return weightsInBuffer;
  return weightsInTexture + (weights === "Q4" ? texelHalves : texelWhole);
}

/** The whole WGSL text of a stage, as the compiler sees it. */
export function stageSource(
  stage: Stage,
  variant: Variant,
  { lanes, vector, convertsF16 }: Target,
): string {
  const [main, ...libs] = stages[stage] as [string, ...Lib[]];
  const sharing = vector ? "vector" : lanes === "workgroup" ? "alone" : "shared";
  const ofVector = vector === 4 ? vectorFour : vectorEight;
  const part = (lib: Lib): string => {
    switch (lib) {
      case "weights":
        return eight + weightSources[variant.weights!] + storageSource(variant);
      case "product":
        return quad + (vector ? part("vectorDot") + productVector : product) + part("lanes");
      case "lanes":
        return lanesSources[lanes];
      case "norm":
        return norm + (vector ? normVector : normAhead);
      case "attention":
        return attentionSources[sharing] + cachedSources[variant.cache!] + (vector ? ofVector : "");
      case "vectorDot":
        return vectorDot + ofVector;
      case "cache":
        return cacheSources[variant.cache!] + slots;
      default:
        return libSources[lib];
    }
  };
  const directive = stage === "promptMatmulF16" ? ["enable f16;"] : [];
  const { weights, cache } = variant;
  const usesF16 = weights === "F16" || weights === "F8" || cache === "f16";
  const f16 = usesF16 ? [convertsF16 ? f16Builtin : f16Computed] : [];
  return [...directive, ...f16, ...libs.map(part), main].join("\n");
}
