/**
 * How a model's weights lie on the GPU: which tensors are put together in one matrix, and where a matrix
 * is cut into parts because a kernel cannot see more than the device's binding limit at once, nor have more workgroups
 * than WebGPU allows.
 *
 * @module
 */
import { rowBytes, type WeightType } from "../kernels/weight_types.ts";
import { MAX_WORKGROUPS } from "../kernels/stages.ts";
import type { MistralConfig } from "./config.ts";

/** Rows of a part at most: a workgroup of a decoding product makes at least a quad of outputs. */
const MAX_PART_ROWS = 4 * MAX_WORKGROUPS;

/** Rows of a checkpoint tensor that go to consecutive rows of a part. */
export interface Segment {
  /** The tensor's name. */
  readonly tensor: string;
  /** Its first row that is taken. */
  readonly row: number;
  /** How many rows are taken. */
  readonly rows: number;
}

/** A part of a matrix, in one buffer. */
export interface PartLayout {
  /** The part's first unit. */
  readonly first: number;
  /** The part's units. */
  readonly units: number;
  /** What its weight rows are, in order. */
  readonly segments: readonly Segment[];
  /** Size of its buffer. */
  readonly bytes: number;
}

/**
 * A matrix [outputs, inputs]. Its outputs come in units that stay in one part: a single row; a head of
 * queries, keys or values; a row of the gate and the same row of up.
 */
export interface MatrixLayout {
  /** What it is, for messages. */
  readonly label: string;
  /** How its weights are stored. */
  readonly type: WeightType;
  /** Inputs, without padding. */
  readonly inputs: number;
  /** Inputs / 8, rounded up: a row is padded with zeros to whole eights at least. */
  readonly k8: number;
  /** Bytes of a weight row. */
  readonly rowBytes: number;
  /** Weight rows of a unit. */
  readonly rowsPerUnit: number;
  /** What the decode stages count a unit as: a head is half as many pairs as rows, all else is one. */
  readonly countPerUnit: number;
  /** Where it is cut. */
  readonly parts: readonly PartLayout[];
}

/** A decoder layer's weights. */
export interface LayerLayout {
  /** Gain of the norm before attention: a tensor's name. */
  readonly inputNorm: string;
  /** q, k and v below each other, a head a unit. */
  readonly qkv: MatrixLayout;
  /** o_proj. */
  readonly out: MatrixLayout;
  /** Gain of the norm before the feed-forward: a tensor's name. */
  readonly postNorm: string;
  /** gate and up: in each part some rows of gate_proj, then the same of up_proj. */
  readonly gateUp: MatrixLayout;
  /** down_proj. */
  readonly down: MatrixLayout;
}

/** The matrices of some layers, whatever stands for a matrix. */
export function matricesOf<Matrix>(
  layers: readonly Readonly<Record<"qkv" | "out" | "gateUp" | "down", Matrix>>[],
): Matrix[] {
  return layers.flatMap(({ qkv, out, gateUp, down }) => [qkv, out, gateUp, down]);
}

/** All of a model's weights. */
export interface WeightLayout {
  readonly embedding: MatrixLayout;
  readonly layers: readonly LayerLayout[];
  /** Gain of the last norm: a tensor's name. */
  readonly norm: string;
  /** The embedding itself where the two are tied. */
  readonly head: MatrixLayout;
}

/**
 * Lays out the weights of a model.
 *
 * @param config The model's shape.
 * @param typeOf How a tensor is to be stored. Those of one matrix that differ, which only floating-point
 * numbers may, F8 among them, are widened to F32.
 * @param maxPartBytes Size of a part at most. A unit (of single rows: four) that is larger makes a part of its own,
 * which the comparison with the device's limits then reports.
 */
export function layOutWeights(
  config: MistralConfig,
  typeOf: (tensor: string) => WeightType,
  maxPartBytes: number,
): WeightLayout {
  const { hiddenSize, intermediateSize, headDim, vocabSize } = config;
  const queries = config.numAttentionHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;

  function matrix(
    label: string,
    inputs: number,
    sources: readonly (readonly [tensor: string, rows: number])[],
    unit: "row" | "head" | "interleaved",
  ): MatrixLayout {
    const types = new Set(sources.map(([tensor]) => typeOf(tensor)));
    const type = types.size === 1 ? [...types][0]! : "F32";
    const k8 = Math.ceil(inputs / 8);
    const bytes = rowBytes(type, inputs);
    const rows = sources.reduce((sum, [, rows]) => sum + rows, 0);
    const rowsPerUnit = { row: 1, head: headDim, interleaved: sources.length }[unit];
    const countPerUnit = unit === "head" ? headDim / 2 : 1;
    const units = rows / rowsPerUnit;
    // A decoding product makes four outputs at once, and lib/residual.wgsl counts in whole fours: no part but the last
    // may end within one.
    const step = unit === "row" ? 4 : 1;
    const rowsPerPart = Math.min(maxPartBytes / bytes, MAX_PART_ROWS);
    const steps = Math.floor(rowsPerPart / (rowsPerUnit * step));
    const unitsPerPart = step * Math.max(1, steps);
    const parts: PartLayout[] = [];
    for (let first = 0; first < units; first += unitsPerPart) {
      const count = Math.min(unitsPerPart, units - first);
      const segments = unit === "interleaved"
        ? sources.map(([tensor]) => ({ tensor, row: first, rows: count }))
        : cut(sources, first * rowsPerUnit, count * rowsPerUnit);
      parts.push({ first, units: count, segments, bytes: count * rowsPerUnit * bytes });
    }
    return { label, type, inputs, k8, rowBytes: bytes, rowsPerUnit, countPerUnit, parts };
  }

  const embedding = matrix("embedding", hiddenSize, [
    ["model.embed_tokens.weight", vocabSize],
  ], "row");
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i): LayerLayout => {
    const of = `model.layers.${i}`;
    return {
      inputNorm: `${of}.input_layernorm.weight`,
      qkv: matrix(`layer ${i} qkv`, hiddenSize, [
        [`${of}.self_attn.q_proj.weight`, queries],
        [`${of}.self_attn.k_proj.weight`, keys],
        [`${of}.self_attn.v_proj.weight`, keys],
      ], "head"),
      out: matrix(
        `layer ${i} out`,
        queries,
        [[`${of}.self_attn.o_proj.weight`, hiddenSize]],
        "row",
      ),
      postNorm: `${of}.post_attention_layernorm.weight`,
      gateUp: matrix(`layer ${i} gate and up`, hiddenSize, [
        [`${of}.mlp.gate_proj.weight`, intermediateSize],
        [`${of}.mlp.up_proj.weight`, intermediateSize],
      ], "interleaved"),
      down: matrix(`layer ${i} down`, intermediateSize, [
        [`${of}.mlp.down_proj.weight`, hiddenSize],
      ], "row"),
    };
  });
  const head = config.tieWordEmbeddings
    ? embedding
    : matrix("head", hiddenSize, [["lm_head.weight", vocabSize]], "row");
  return { embedding, layers, norm: "model.norm.weight", head };
}

/** Rows [first, first + rows) of tensors that lie below each other. */
function cut(
  sources: readonly (readonly [tensor: string, rows: number])[],
  first: number,
  rows: number,
): Segment[] {
  const segments: Segment[] = [];
  let start = 0;
  for (const [tensor, size] of sources) {
    const from = Math.max(first, start);
    const to = Math.min(first + rows, start + size);
    if (from < to) segments.push({ tensor, row: from - start, rows: to - from });
    start += size;
  }
  return segments;
}
