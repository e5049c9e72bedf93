/**
 * What a `config.json` says of the rotary position embedding. Old files have `rope_theta` and `rope_scaling`;
 * transformers 5 has both in `rope_parameters`.
 *
 * @module
 */
import { DittoError, show } from "./errors.ts";
import { boolean, integer, LEAST, MOST, number } from "./fields.ts";
import { isObject, type JsonObject } from "./json.ts";

/** How the wavelengths of a rotary embedding were stretched to a longer context. */
export type RopeScaling = LinearScaling | Llama3Scaling | YarnScaling;

/** All wavelengths grow alike. */
export interface LinearScaling {
  /** config: `rope_type`. */
  readonly type: "linear";
  /** What they are multiplied by. */
  readonly factor: number;
}

/** Long wavelengths grow, short ones stay (Llama 3.1). */
export interface Llama3Scaling {
  /** config: `rope_type`. */
  readonly type: "llama3";
  /** What the long ones are multiplied by. */
  readonly factor: number;
  /** Those that fit into the original context at most so many times grow by the whole factor. */
  readonly lowFreqFactor: number;
  /** Those that fit into it more often than that stay. */
  readonly highFreqFactor: number;
  /** The context before it was stretched, in tokens. */
  readonly originalMaxPositionEmbeddings: number;
}

/** Long wavelengths grow, short ones stay, and cosines and sines are multiplied (YaRN, Peng et al. 2023). */
export interface YarnScaling {
  /** config: `rope_type`. */
  readonly type: "yarn";
  /** What the long ones are multiplied by. */
  readonly factor: number;
  /** Dimensions that turn more often than this in the original context stay. */
  readonly betaFast: number;
  /** Dimensions that turn less often than this in the original context grow by the whole factor. */
  readonly betaSlow: number;
  /** Whether the two limits are rounded outwards to whole dimensions. */
  readonly truncate: boolean;
  /** What cosines and sines are multiplied by. */
  readonly attentionFactor: number;
  /** The context before it was stretched, in tokens. */
  readonly originalMaxPositionEmbeddings: number;
}

/** Queries are multiplied by 1 + beta · ln(1 + ⌊position / originalMaxPositionEmbeddings⌋) (Llama 4). */
export interface QueryScaling {
  /** config: `llama_4_scaling_beta`. */
  readonly beta: number;
  /** The context before it was stretched, in tokens. */
  readonly originalMaxPositionEmbeddings: number;
}

/** What a `config.json` says of positions. */
export interface Rope {
  /** Base of the wavelengths. */
  readonly ropeTheta: number;
  /** How they were stretched; null: not at all. */
  readonly ropeScaling: RopeScaling | null;
  /** How queries grow; null: not at all. */
  readonly queryScaling: QueryScaling | null;
}

/** transformers' default for `ministral3`, and for no other. */
const MINISTRAL3_ROPE: JsonObject = {
  rope_type: "yarn",
  rope_theta: 1e6,
  factor: 16,
  original_max_position_embeddings: 16384,
  beta_fast: 32,
  beta_slow: 1,
  mscale: 1,
  mscale_all_dim: 1,
  llama_4_scaling_beta: 0.1,
};

/** A field of the object that describes the embedding, as a number. */
type Field = (name: string, absent: number | undefined, min: number, max: number) => number;

/**
 * Reads what concerns positions, as transformers does.
 *
 * @param json The parsed `config.json`.
 * @param isMinistral3 Whether its `model_type` is `ministral3`, in which alone queries grow.
 * @param maxPositionEmbeddings What counts as the original context where the file names none.
 * @throws {DittoError} If it is not supported or makes no sense.
 */
export function parseRope(
  json: JsonObject,
  isMinistral3: boolean,
  maxPositionEmbeddings: number,
): Rope {
  const [name, rope] = ropeOf(json, isMinistral3);
  const field: Field = (key, absent, min, max) => {
    const path = `${name}.${key}`;
    return number({ [path]: rope[key] }, path, absent, min, max);
  };
  const theta = rope.rope_theta ?? json.rope_theta;
  const ropeTheta = number({ rope_theta: theta }, "rope_theta", 10000, 1, MOST);
  const original = "original_max_position_embeddings";
  const originalMaxPositionEmbeddings = integer(
    { [original]: json[original] ?? rope[original] },
    original,
    maxPositionEmbeddings,
  );
  const beta = field("llama_4_scaling_beta", 0, 0, MOST);
  if (beta !== 0 && !isMinistral3) refuse(name, rope);
  return {
    ropeTheta,
    ropeScaling: parseScaling(name, rope, field, ropeTheta, {
      originalMaxPositionEmbeddings,
      maxPositionEmbeddings,
    }),
    queryScaling: beta === 0 ? null : { beta, originalMaxPositionEmbeddings },
  };
}

/** The object that describes the embedding, and its name. An empty one is as good as none. */
function ropeOf(json: JsonObject, isMinistral3: boolean): [name: string, rope: JsonObject] {
  for (const name of ["rope_scaling", "rope_parameters"]) {
    const rope = json[name] ?? {};
    if (!isObject(rope)) refuse(name, rope);
    if (Object.keys(rope).length > 0) return [name, rope];
  }
  return ["rope_parameters", isMinistral3 ? MINISTRAL3_ROPE : {}];
}

function parseScaling(
  name: string,
  rope: JsonObject,
  field: Field,
  ropeTheta: number,
  { originalMaxPositionEmbeddings, maxPositionEmbeddings }: {
    originalMaxPositionEmbeddings: number;
    maxPositionEmbeddings: number;
  },
): RopeScaling | null {
  const isPartial = (rope.partial_rotary_factor ?? 1) !== 1;
  if (isPartial || Object.values(rope).some(isObject)) refuse(name, rope);
  const factor = (absent?: number) => field("factor", absent, LEAST, MOST);
  switch (rope.rope_type ?? rope.type ?? "default") {
    case "default":
      if (factor(1) !== 1) refuse(name, rope);
      return null;
    case "linear":
      return factor() === 1 ? null : { type: "linear", factor: factor() };
    case "llama3": {
      const lowFreqFactor = field("low_freq_factor", undefined, LEAST, MOST);
      const highFreqFactor = field("high_freq_factor", undefined, LEAST, MOST);
      if (highFreqFactor <= lowFreqFactor) {
        throw new DittoError(
          `config.json has ${name}.high_freq_factor ${highFreqFactor}, which must be above ` +
            `low_freq_factor ${lowFreqFactor}.`,
        );
      }
      const limits = { lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings };
      return { type: "llama3", factor: factor(), ...limits };
    }
    case "yarn": {
      if (ropeTheta === 1) refuse(name, rope); // nothing turns more often than anything else
      const stretched = factor(maxPositionEmbeddings / originalMaxPositionEmbeddings);
      return {
        type: "yarn",
        factor: stretched,
        betaFast: field("beta_fast", 0, 0, MOST) || 32,
        betaSlow: field("beta_slow", 0, 0, MOST) || 1,
        truncate: boolean({ [`${name}.truncate`]: rope.truncate }, `${name}.truncate`, true),
        attentionFactor: field("attention_factor", yarnFactor(stretched, field), 0, MOST),
        originalMaxPositionEmbeddings,
      };
    }
    default:
      refuse(name, rope);
  }
}

/** What YaRN multiplies cosines and sines by where the file does not say. */
function yarnFactor(factor: number, field: Field): number {
  const scale = (m: number) => factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1;
  const [mscale, allDim] = [field("mscale", 0, 0, MOST), field("mscale_all_dim", 0, 0, MOST)];
  return mscale && allDim ? scale(mscale) / scale(allDim) : scale(1);
}

function refuse(name: string, rope: unknown): never {
  throw new DittoError(
    `config.json has ${name} ${show(rope)}: Ditto supports rotary embeddings of all dimensions ` +
      `with rope_type "default", "linear", "llama3" or "yarn".`,
  );
}
