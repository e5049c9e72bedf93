import { DittoError, show } from "./errors.ts";
import { isObject, type JsonObject } from "./json.ts";
import { parseQuantization, type Quantization } from "./quantization.ts";

/** The shape of a model: Hugging Face's `config.json`, checked, with every default filled in. */
export interface MistralConfig {
  /** Which class of transformers the checkpoint was made for; the mathematics is the same. */
  readonly architecture: "MistralForCausalLM" | "LlamaForCausalLM";
  /** Width of the residual stream. */
  readonly hiddenSize: number;
  /** Width of the feed-forward layer between gate/up and down. */
  readonly intermediateSize: number;
  /** Transformer layers. */
  readonly numHiddenLayers: number;
  /** Query heads; a multiple of {@linkcode numKeyValueHeads}. */
  readonly numAttentionHeads: number;
  /** Key and value heads; each serves numAttentionHeads / numKeyValueHeads query heads. */
  readonly numKeyValueHeads: number;
  /** Width of one head, even. Need not be hiddenSize / numAttentionHeads. */
  readonly headDim: number;
  /** Rows of the embedding and of the head. The tokenizer may know fewer tokens. */
  readonly vocabSize: number;
  /** Added to the mean square in every RMSNorm. */
  readonly rmsNormEps: number;
  /** Base of the rotary embedding's wavelengths. */
  readonly ropeTheta: number;
  /** A token sees itself and the slidingWindow − 1 tokens before it; null: all before it. */
  readonly slidingWindow: number | null;
  /** The longest context the model was made for, in tokens. */
  readonly maxPositionEmbeddings: number;
  /** True if the head's weights are those of the embedding. */
  readonly tieWordEmbeddings: boolean;
  /** In how many bits the checkpoint holds its weights; null: as floating-point numbers. */
  readonly quantization: Quantization | null;
  /** The token a text begins with; null if the model has none. */
  readonly bosTokenId: number | null;
  /** The tokens that end an answer, in the checkpoint's order; may be empty. */
  readonly eosTokenIds: readonly number[];
}

/** What transformers assumes where `config.json` has no such field. */
const DEFAULTS = {
  MistralForCausalLM: {
    intermediateSize: 14336,
    numKeyValueHeads: 8,
    slidingWindow: 4096,
    maxPositionEmbeddings: 131072,
  },
  LlamaForCausalLM: {
    intermediateSize: 11008,
    numKeyValueHeads: null, // as many as query heads
    slidingWindow: null,
    maxPositionEmbeddings: 2048,
  },
} as const;

/** The largest size of one dimension, and of a context; keeps every byte count an exact double. */
export const MAX_DIMENSION = 2 ** 24;
/** What attention's workgroup memory holds on every device: see kernels/attention_tile.ts. */
const MAX_HEAD_DIM = 320;
const MAX_LAYERS = 1000;
/** Within these, f32 holds numbers without loss of digits, and so do kernels. */
const [LEAST, MOST] = [1e-30, 1e30];

/** Fields that would change the mathematics, and the values that do not. Absent and null are fine. */
const ONLY_ACCEPTED: readonly (readonly [field: string, accepted: readonly unknown[]])[] = [
  ["hidden_act", ["silu", "swish"]],
  ["attention_bias", [false]],
  ["mlp_bias", [false]],
  ["partial_rotary_factor", [1]],
  ["attn_logit_softcapping", []],
  ["final_logit_softcapping", []],
  ["llama_4_scaling", []],
  ["is_encoder_decoder", [false]],
  ["add_cross_attention", [false]],
];

/**
 * Checks a checkpoint's configuration. Fields that do not concern inference are ignored; fields that
 * would change the result and that Ditto does not implement are refused by name.
 *
 * @param configJson The parsed `config.json`.
 * @param generationJson The parsed `generation_config.json`, if there is one: its `eos_token_id`
 * counts before that of `config.json`.
 * @throws {DittoError} If a field is unsupported, has the wrong type, or makes no sense.
 */
export function parseConfig(configJson: unknown, generationJson?: unknown): MistralConfig {
  if (!isObject(configJson)) {
    throw new DittoError(`config.json holds ${show(configJson)} and must hold an object.`);
  }
  const architecture = parseArchitecture(configJson);
  rejectUnsupported(configJson);
  const defaults = DEFAULTS[architecture];
  const dimension = (field: string, absent: number) =>
    integer(configJson, field, absent, { max: MAX_DIMENSION });

  const hiddenSize = dimension("hidden_size", 4096);
  const numAttentionHeads = dimension("num_attention_heads", 32);
  const config: MistralConfig = {
    architecture,
    hiddenSize,
    intermediateSize: dimension("intermediate_size", defaults.intermediateSize),
    numHiddenLayers: integer(configJson, "num_hidden_layers", 32, { max: MAX_LAYERS }),
    numAttentionHeads,
    numKeyValueHeads: parseKeyValueHeads(configJson, numAttentionHeads, defaults.numKeyValueHeads),
    headDim: dimension("head_dim", hiddenSize / numAttentionHeads),
    vocabSize: dimension("vocab_size", 32000),
    rmsNormEps: number(configJson, "rms_norm_eps", 1e-6, LEAST, 1),
    ropeTheta: parseRopeTheta(configJson),
    slidingWindow: parseSlidingWindow(configJson, architecture),
    maxPositionEmbeddings: integer(
      configJson,
      "max_position_embeddings",
      defaults.maxPositionEmbeddings,
      { min: 2 }, // a token of the prompt and one of the answer
    ),
    tieWordEmbeddings: parseBoolean(configJson, "tie_word_embeddings", false),
    quantization: parseQuantization(configJson.quantization_config),
    bosTokenId: parseTokenIds(configJson, "bos_token_id", "config.json", 1)[0] ?? null,
    eosTokenIds: parseEos(configJson, generationJson),
  };
  checkTogether(config, configJson);
  return config;
}

function parseArchitecture(json: JsonObject): MistralConfig["architecture"] {
  const byType: Record<string, string> = {
    mistral: "MistralForCausalLM",
    llama: "LlamaForCausalLM",
  };
  const { architectures, model_type } = json;
  const fromType = typeof model_type === "string" && Object.hasOwn(byType, model_type)
    ? byType[model_type]
    : undefined;
  const named = Array.isArray(architectures) ? architectures[0] : architectures ?? fromType;
  const known = named === "MistralForCausalLM" || named === "LlamaForCausalLM";
  if (!known || (model_type !== undefined && fromType !== named)) {
    const found = `architectures ${show(architectures)} and model_type ${show(model_type)}`;
    throw new DittoError(
      `config.json has ${found}: Ditto runs MistralForCausalLM (model_type "mistral") and ` +
        `LlamaForCausalLM (model_type "llama").`,
    );
  }
  return named;
}

function rejectUnsupported(json: JsonObject): void {
  for (const [field, accepted] of ONLY_ACCEPTED) {
    const value = json[field] ?? null;
    if (value === null || accepted.includes(value)) continue;
    const expected = accepted.length > 0
      ? `only ${accepted.map(show).join(" or ")}`
      : "no such field";
    throw new DittoError(
      `config.json has ${field} ${show(value)}, which Ditto does not support (${expected}).`,
    );
  }
}

/** Mistral's default is 8, but an explicit null means one per query head, as in transformers. */
function parseKeyValueHeads(json: JsonObject, heads: number, absent: 8 | null): number {
  const fallback = json.num_key_value_heads === undefined ? absent ?? heads : heads;
  return integer(json, "num_key_value_heads", fallback, { max: MAX_DIMENSION });
}

/** Old files have `rope_theta` and `rope_scaling`; transformers 5 has both in `rope_parameters`. */
function parseRopeTheta(json: JsonObject): number {
  let theta: unknown = json.rope_theta;
  for (const field of ["rope_scaling", "rope_parameters"]) {
    const rope = json[field] ?? null;
    if (rope === null) continue;
    const type = isObject(rope) ? rope.rope_type ?? rope.type ?? "default" : null;
    const plain = isObject(rope) &&
      (type === "default" || (type === "linear" && rope.factor === 1)) &&
      (rope.factor ?? 1) === 1 && (rope.partial_rotary_factor ?? 1) === 1 &&
      !Object.values(rope).some(isObject);
    if (!plain) {
      throw new DittoError(
        `config.json has ${field} ${show(rope)}: Ditto supports plain rotary embeddings only ` +
          `(rope_type "default").`,
      );
    }
    theta = rope.rope_theta ?? theta;
  }
  return number({ rope_theta: theta }, "rope_theta", 10000, 1, MOST);
}

function parseSlidingWindow(
  json: JsonObject,
  architecture: MistralConfig["architecture"],
): number | null {
  const window = architecture === "LlamaForCausalLM" || json.sliding_window === null
    ? null
    : integer(json, "sliding_window", DEFAULTS[architecture].slidingWindow);
  const kind = window === null ? "full_attention" : "sliding_attention";
  const layers = json.layer_types ?? [];
  if (!Array.isArray(layers) || layers.some((layer) => layer !== kind)) {
    throw new DittoError(
      `config.json has layer_types ${show(layers)} beside sliding_window ${show(window)}: Ditto ` +
        `needs the same attention in every layer.`,
    );
  }
  return window !== null && window > MAX_DIMENSION ? null : window; // no context is longer
}

function parseEos(json: JsonObject, generation: unknown): readonly number[] {
  if (generation !== undefined && !isObject(generation)) {
    throw new DittoError(
      `generation_config.json holds ${show(generation)} and must hold an object.`,
    );
  }
  return generation && (generation.eos_token_id ?? null) !== null
    ? parseTokenIds(generation, "eos_token_id", "generation_config.json", null)
    : parseTokenIds(json, "eos_token_id", "config.json", 2);
}

/** One id, an array of them or null; without repetitions. */
function parseTokenIds(
  json: JsonObject,
  field: string,
  file: string,
  absent: number | null,
): number[] {
  const value = json[field] === undefined ? absent : json[field];
  const ids = Array.isArray(value) ? value : value === null ? [] : [value];
  for (const id of ids) {
    if (Number.isSafeInteger(id) && id >= 0) continue;
    throw new DittoError(
      `${file} has ${field} ${show(value)} and must have a token id (a whole number from 0), an ` +
        `array of them, or null.`,
    );
  }
  return [...new Set(ids)];
}

function integer(
  json: JsonObject,
  field: string,
  absent: number,
  { min = 1, max = Number.MAX_SAFE_INTEGER } = {},
): number {
  const value = json[field] ?? absent;
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number;
  }
  const origin = json[field] == null ? " (computed, because the field is absent)" : "";
  throw new DittoError(
    `config.json has ${field} ${
      show(value)
    }${origin} and must have a whole number from ${min} to ${max}.`,
  );
}

function number(
  json: JsonObject,
  field: string,
  absent: number,
  min: number,
  max: number,
): number {
  const value = json[field] ?? absent;
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw new DittoError(
    `config.json has ${field} ${show(value)} and must have a number from ${min} to ${max}.`,
  );
}

function parseBoolean(json: JsonObject, field: string, absent: boolean): boolean {
  const value = json[field] ?? absent;
  if (typeof value === "boolean") return value;
  throw new DittoError(`config.json has ${field} ${show(value)} and must have true or false.`);
}

/** What no field can get wrong alone. */
function checkTogether(config: MistralConfig, json: JsonObject): void {
  const { numAttentionHeads, numKeyValueHeads, headDim, vocabSize, bosTokenId, eosTokenIds } =
    config;
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw new DittoError(
      `config.json has num_attention_heads ${numAttentionHeads}, which is no multiple of ` +
        `num_key_value_heads ${numKeyValueHeads}.`,
    );
  }
  if (headDim % 2 !== 0) {
    throw new DittoError(
      `config.json ${json.head_dim == null ? "implies" : "has"} head_dim ${headDim}, and rotary ` +
        `embeddings need an even one.`,
    );
  }
  if (headDim > MAX_HEAD_DIM) {
    throw new DittoError(
      `config.json ${
        json.head_dim == null ? "implies" : "has"
      } head_dim ${headDim}: heads of more than ` +
        `${MAX_HEAD_DIM} dimensions are not supported.`,
    );
  }
  if (numAttentionHeads * headDim > MAX_DIMENSION) {
    throw new DittoError(
      `config.json has ${numAttentionHeads} heads of ${headDim}, together more than ` +
        `${MAX_DIMENSION}: one of the two is wrong.`,
    );
  }
  for (const id of [...eosTokenIds, bosTokenId ?? 0]) {
    if (id >= vocabSize) {
      throw new DittoError(
        `The checkpoint's configuration names token ${id} as begin or end of sequence, but ` +
          `vocab_size is ${vocabSize}: ids end at ${vocabSize - 1}.`,
      );
    }
  }
}
