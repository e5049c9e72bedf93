/**
 * Models whose shape benchmarks make up weights for. shapes/ has their `config.json`, for other languages too:
 *
 * - `mistral-7b`: https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.2 (v0.1 has a sliding window of 4096)
 * - `mistral-nemo`: https://huggingface.co/mistralai/Mistral-Nemo-Instruct-2407
 * - `mistral-small`: https://huggingface.co/mistralai/Mistral-Small-24B-Instruct-2501
 * - `ministral-3-8b`: the language model in https://huggingface.co/mistralai/Ministral-3-8B-Instruct-2512
 * - `mistral-7b-quarter`: Mistral-7B with every width a quarter and heads as wide, for kernels on software devices
 * - `tiny`: no model, to see that a benchmark runs; the vocabulary is Mistral's, so that recorded answers can be
 *   replayed
 *
 * @module
 */
import { DittoError } from "../kernels/errors.ts";
import { rowBytes, type WeightType } from "../kernels/weight_types.ts";
import { type MistralConfig, parseConfig } from "../model/config.ts";
import { requiredTensors } from "../model/required_tensors.ts";
import ministral3 from "./shapes/ministral-3-8b.json" with { type: "json" };
import mistral7b from "./shapes/mistral-7b.json" with { type: "json" };
import mistral7bQuarter from "./shapes/mistral-7b-quarter.json" with { type: "json" };
import mistralNemo from "./shapes/mistral-nemo.json" with { type: "json" };
import mistralSmall from "./shapes/mistral-small.json" with { type: "json" };
import tiny from "./shapes/tiny.json" with { type: "json" };

const SHAPES: Record<string, Record<string, unknown>> = {
  "mistral-7b": mistral7b,
  "mistral-nemo": mistralNemo,
  "mistral-small": mistralSmall,
  "ministral-3-8b": ministral3,
  "mistral-7b-quarter": mistral7bQuarter,
  tiny,
};

/** The names of the shapes. */
export const SHAPE_NAMES = Object.keys(SHAPES);

/**
 * `config.json` of a shape.
 *
 * @param layers Layers to keep; default all.
 * @throws {DittoError} If there is no such shape, or it has fewer layers.
 */
export function shapeJson(name: string, layers?: number): Record<string, unknown> {
  const shape = SHAPES[name];
  if (!shape) {
    throw new DittoError(
      `There is no shape "${name}": the shapes are ${SHAPE_NAMES.join(", ")}.`,
    );
  }
  const all = Number(shape.num_hidden_layers);
  if (layers !== undefined && layers > all) {
    throw new DittoError(`The shape ${name} has ${all} layers: ${layers} cannot be kept of it.`);
  }
  return { ...shape, ...(layers !== undefined && { num_hidden_layers: layers }) };
}

/** The configuration of a shape. */
export function shapeConfig(name: string, layers?: number): MistralConfig {
  return parseConfig(shapeJson(name, layers));
}

/**
 * Bytes of weights that a pass reads: every one once, but of an embedding that is not the head too only a row.
 *
 * @param typeOf How a matrix is stored. Default as in bf16.
 */
export function passBytes(
  config: MistralConfig,
  typeOf: (tensor: string) => WeightType = () => "BF16",
): number {
  return requiredTensors(config)
    .filter(({ name }) => config.tieWordEmbeddings || !/embed_tokens/.test(name))
    .reduce((sum, { name, shape: [rows, inputs] }) => {
      if (inputs === undefined) return sum + 4 * rows!; // a norm's gain, in f32
      return sum + rows! * rowBytes(typeOf(name), inputs);
    }, 0);
}
