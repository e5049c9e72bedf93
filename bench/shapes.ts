/**
 * Models whose shape benchmarks make up weights for.
 *
 * @module
 */
import { DittoError } from "../kernels/errors.ts";
import { type MistralConfig, parseConfig } from "../model/config.ts";

const SHAPES: Record<string, Record<string, unknown>> = {
  // No model: to see that a benchmark runs. The vocabulary is Mistral's, so that recorded answers can be replayed.
  "tiny": {
    hidden_size: 128,
    intermediate_size: 384,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 32000,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 32768,
    sliding_window: null,
  },
  // Mistral-7B with every width a quarter and heads as wide, for kernels on software devices.
  "mistral-7b-quarter": {
    hidden_size: 1024,
    intermediate_size: 3584,
    num_hidden_layers: 32,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    vocab_size: 32000,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 32768,
    sliding_window: null,
  },
  // https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.1/blob/main/config.json
  "mistral-7b": {
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 32000,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 32768,
    sliding_window: null, // v0.2 and later; v0.1 has 4096, which no bench here reaches
  },
  // https://huggingface.co/mistralai/Mistral-Nemo-Instruct-2407/blob/main/config.json
  "mistral-nemo": {
    hidden_size: 5120,
    intermediate_size: 14336,
    num_hidden_layers: 40,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    vocab_size: 131072,
    rms_norm_eps: 1e-5,
    rope_theta: 1000000,
    max_position_embeddings: 131072,
    sliding_window: null,
  },
};

/** The names of the shapes. */
export const SHAPE_NAMES = Object.keys(SHAPES);

/**
 * `config.json` of a shape.
 *
 * @param layers Layers to keep; default all.
 * @throws {DittoError} If there is no such shape.
 */
export function shapeJson(name: string, layers?: number): Record<string, unknown> {
  const shape = SHAPES[name];
  if (!shape) {
    throw new DittoError(
      `There is no shape "${name}": the shapes are ${SHAPE_NAMES.join(", ")}.`,
    );
  }
  return {
    architectures: ["MistralForCausalLM"],
    model_type: "mistral",
    hidden_act: "silu",
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    bos_token_id: 1,
    eos_token_id: 2,
    ...shape,
    ...(layers !== undefined && { num_hidden_layers: layers }),
  };
}

/** The configuration of a shape. */
export function shapeConfig(name: string, layers?: number): MistralConfig {
  return parseConfig(shapeJson(name, layers));
}
