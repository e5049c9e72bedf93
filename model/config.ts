import { DittoError, show } from "./errors.ts";
import { boolean, integer, LEAST, MAX_DIMENSION, number } from "./fields.ts";
import { isObject, type JsonObject } from "./json.ts";
import { parseQuantization, type Quantization } from "./quantization.ts";
import { parseRope, type QueryScaling, type RopeScaling } from "./rope_parameters.ts";

/** A class of transformers that Ditto runs. Of Mistral3ForConditionalGeneration it runs what reads and writes text. */
export type Architecture =
  | "MistralForCausalLM"
  | "Ministral3ForCausalLM"
  | "LlamaForCausalLM"
  | "Mistral3ForConditionalGeneration";

/** The shape of a model: Hugging Face's `config.json`, checked, with every default filled in. */
export interface MistralConfig {
  /** Which class of transformers the checkpoint was made for. */
  readonly architecture: Architecture;
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
  /** How the wavelengths were stretched to a longer context; null: not at all. */
  readonly ropeScaling: RopeScaling | null;
  /** How queries grow with their position; null: not at all. */
  readonly queryScaling: QueryScaling | null;
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

/** A `model_type` whose mathematics Ditto has. */
type TextModel = "mistral" | "ministral3" | "llama";

/**
 * What transformers assumes where `config.json` has no such field; null for heads of keys and values: as many as
 * query heads, and for a head's dimensions: hiddenSize / numAttentionHeads.
 */
const DEFAULTS = {
  mistral: {
    intermediateSize: 14336,
    numHiddenLayers: 32,
    numKeyValueHeads: 8,
    headDim: null,
    vocabSize: 32000,
    rmsNormEps: 1e-6,
    slidingWindow: 4096,
    maxPositionEmbeddings: 131072,
  },
  ministral3: {
    intermediateSize: 14336,
    numHiddenLayers: 34,
    numKeyValueHeads: 8,
    headDim: 128,
    vocabSize: 131072,
    rmsNormEps: 1e-5,
    slidingWindow: null,
    maxPositionEmbeddings: 262144,
  },
  llama: {
    intermediateSize: 11008,
    numHiddenLayers: 32,
    numKeyValueHeads: null,
    headDim: null,
    vocabSize: 32000,
    rmsNormEps: 1e-6,
    slidingWindow: null,
    maxPositionEmbeddings: 2048,
  },
} as const satisfies Record<TextModel, unknown>;

/** The classes of transformers that Ditto runs, by the `model_type` in their `config.json`. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  mistral: "MistralForCausalLM",
  ministral3: "Ministral3ForCausalLM",
  llama: "LlamaForCausalLM",
  mistral3: "Mistral3ForConditionalGeneration",
};

/** What attention's workgroup memory holds on every device: see kernels/attention_tile.ts. */
const MAX_HEAD_DIM = 320;
const MAX_LAYERS = 1000;

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
  const json = architecture === "Mistral3ForConditionalGeneration"
    ? textConfig(configJson)
    : configJson;
  const textModel = parseTextModel(json, architecture);
  rejectUnsupported(json);
  const defaults = DEFAULTS[textModel];
  const dimension = (field: string, absent: number) =>
    integer(json, field, absent, { max: MAX_DIMENSION });

  const hiddenSize = dimension("hidden_size", 4096);
  const numAttentionHeads = dimension("num_attention_heads", 32);
  const headDim = json.head_dim === undefined ? defaults.headDim : null;
  const maxPositionEmbeddings = integer(
    json,
    "max_position_embeddings",
    defaults.maxPositionEmbeddings,
    { min: 2 }, // a token of the prompt and one of the answer
  );
  const config: MistralConfig = {
    architecture,
    hiddenSize,
    intermediateSize: dimension("intermediate_size", defaults.intermediateSize),
    numHiddenLayers: integer(json, "num_hidden_layers", defaults.numHiddenLayers, {
      max: MAX_LAYERS,
    }),
    numAttentionHeads,
    numKeyValueHeads: parseKeyValueHeads(json, numAttentionHeads, defaults.numKeyValueHeads),
    headDim: dimension("head_dim", headDim ?? hiddenSize / numAttentionHeads),
    vocabSize: dimension("vocab_size", defaults.vocabSize),
    rmsNormEps: number(json, "rms_norm_eps", defaults.rmsNormEps, LEAST, 1),
    ...parseRope(json, textModel === "ministral3", maxPositionEmbeddings),
    slidingWindow: parseSlidingWindow(json, textModel),
    maxPositionEmbeddings,
    tieWordEmbeddings: boolean(json, "tie_word_embeddings", false),
    quantization: parseQuantization(json.quantization_config),
    bosTokenId: parseTokenIds(json, "bos_token_id", "config.json", 1)[0] ?? null,
    eosTokenIds: parseEos(json, generationJson),
  };
  checkTogether(config, json);
  return config;
}

function parseArchitecture(json: JsonObject): Architecture {
  const { architectures, model_type } = json;
  const fromType = typeof model_type === "string" && Object.hasOwn(ARCHITECTURES, model_type)
    ? ARCHITECTURES[model_type]
    : undefined;
  const named = Array.isArray(architectures) ? architectures[0] : architectures ?? fromType;
  const known = Object.values(ARCHITECTURES).find((each) => each === named);
  if (known === undefined || (model_type !== undefined && fromType !== known)) {
    const found = `architectures ${show(architectures)} and model_type ${show(model_type)}`;
    const runs = Object.entries(ARCHITECTURES).map(([type, name]) => `${name} ("${type}")`);
    throw new DittoError(`config.json has ${found}: Ditto runs ${runs.join(", ")}.`);
  }
  return known;
}

/**
 * What describes the language model in the `config.json` of one that also sees: its `text_config`, and what of the
 * whole concerns it. (transformers 5 asks the whole about ties, and ties where it says nothing; what a checkpoint that
 * has a head of its own comes to, openCheckpoint() says.)
 */
function textConfig(json: JsonObject): JsonObject {
  const text = json.text_config;
  if (!isObject(text)) {
    throw new DittoError(`config.json has text_config ${show(text)} and must have an object.`);
  }
  return {
    ...text,
    bos_token_id: json.bos_token_id ?? text.bos_token_id,
    eos_token_id: json.eos_token_id ?? text.eos_token_id,
    tie_word_embeddings: json.tie_word_embeddings ?? text.tie_word_embeddings ?? true,
    quantization_config: json.quantization_config ?? text.quantization_config,
  };
}

function parseTextModel(json: JsonObject, architecture: Architecture): TextModel {
  const type = architecture === "Mistral3ForConditionalGeneration"
    ? json.model_type ?? "mistral"
    : Object.keys(ARCHITECTURES).find((type) => ARCHITECTURES[type] === architecture);
  if (type === "mistral" || type === "ministral3" || type === "llama") return type;
  throw new DittoError(
    `config.json has text_config with model_type ${
      show(type)
    }: Ditto runs "mistral", "ministral3" ` +
      `and "llama".`,
  );
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

function parseSlidingWindow(json: JsonObject, textModel: TextModel): number | null {
  const field = json.sliding_window === undefined
    ? DEFAULTS[textModel].slidingWindow
    : json.sliding_window;
  const window = textModel === "llama" || field === null
    ? null
    : integer({ sliding_window: field }, "sliding_window", 0);
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
  return isObject(generation) && (generation.eos_token_id ?? null) !== null
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
