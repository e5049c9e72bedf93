import type { MistralConfig } from "./config.ts";
import { DittoError, show } from "./errors.ts";
import { checkScales, scaledBy } from "./fp8.ts";
import { type QuantizedType, rowBytes } from "../kernels/weight_types.ts";
import { quantizedType } from "./quantization.ts";
import type { SafetensorsEntry } from "./safetensors.ts";

/** A tensor the forward pass needs. */
export interface RequiredTensor {
  /** Its name in the checkpoint. */
  readonly name: string;
  /** Outermost dimension first; a matrix is [outputs, inputs]. */
  readonly shape: readonly number[];
}

/** Lists every tensor that a model of this configuration consists of, in the order of the pass. */
export function requiredTensors(config: MistralConfig): RequiredTensor[] {
  const { hiddenSize, intermediateSize, headDim, vocabSize } = config;
  const queries = config.numAttentionHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;
  const tensors: RequiredTensor[] = [];
  const need = (name: string, ...shape: number[]) =>
    tensors.push({ name: `${name}.weight`, shape });

  need("model.embed_tokens", vocabSize, hiddenSize);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const of = `model.layers.${layer}`;
    need(`${of}.input_layernorm`, hiddenSize);
    need(`${of}.self_attn.q_proj`, queries, hiddenSize);
    need(`${of}.self_attn.k_proj`, keys, hiddenSize);
    need(`${of}.self_attn.v_proj`, keys, hiddenSize);
    need(`${of}.self_attn.o_proj`, hiddenSize, queries);
    need(`${of}.post_attention_layernorm`, hiddenSize);
    need(`${of}.mlp.gate_proj`, intermediateSize, hiddenSize);
    need(`${of}.mlp.up_proj`, intermediateSize, hiddenSize);
    need(`${of}.mlp.down_proj`, hiddenSize, intermediateSize);
  }
  need("model.norm", hiddenSize);
  if (!config.tieWordEmbeddings) need("lm_head", vocabSize, hiddenSize);
  return tensors;
}

/**
 * Checks that a checkpoint's tensors are those its configuration asks for, with the right shapes.
 * Tensors outside `model.` and `lm_head.` are none of our business; one inside them that is not
 * asked for (a bias, a layer too many) would be left out of the result, so it is an error, except
 * the scales of a matrix in F8_E4M3, and two kinds that old checkpoints carry along: RoPE's
 * frequencies, and a tied head stored once more.
 *
 * @param tensors Every tensor of the checkpoint by name.
 * @param where The checkpoint's directory, for messages.
 * @throws {DittoError} If a tensor is missing, misshapen, unexpected or not of BF16, F16, F32 or F8_E4M3, or of U8
 * where the checkpoint is quantized.
 */
export function checkTensors(
  config: MistralConfig,
  tensors: ReadonlyMap<string, Pick<SafetensorsEntry, "name" | "dtype" | "shape">>,
  where: string,
): void {
  const required = requiredTensors(config);
  const missing = required.filter(({ name }) => !tensors.has(name));
  if (missing.length > 0) {
    const others = missing.length > 1 ? ` and ${missing.length - 1} more` : "";
    throw new DittoError(
      `The checkpoint in ${where} has no tensor ${
        show(missing[0]!.name)
      }${others}: it is incomplete ` +
        `or config.json belongs to another model.`,
    );
  }
  for (const { name, shape } of required) {
    const tensor = tensors.get(name)!;
    checkTensor(tensor, shape, quantizedType(name, config.quantization));
    if (tensor.dtype === "F8_E4M3") checkScales(name, shape[0]!, tensors);
  }

  const expected = new Set(required.map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (expected.has(name) || !/^(model|lm_head)\./.test(name)) continue;
    const owner = scaledBy(name) ?? name;
    if (expected.has(owner) && tensors.get(owner)!.dtype === "F8_E4M3") continue;
    if (name.endsWith("rotary_emb.inv_freq")) continue;
    if (owner === "lm_head.weight" && config.tieWordEmbeddings) continue;
    throw new DittoError(
      `The checkpoint in ${where} has a tensor ${
        show(name)
      } that a ${config.architecture} of its ` +
        `config.json does not have; Ditto will not leave it out of the computation.`,
    );
  }
}

/**
 * Checks that a tensor can be used where one of a certain shape is needed.
 *
 * @param type How it is stored, if in few bits; its last dimension is the bytes of a row then.
 * @throws {DittoError} If its shape differs (the message has both), or its element type is none that
 * Ditto computes with.
 */
function checkTensor(
  { name, dtype, shape }: Pick<SafetensorsEntry, "name" | "dtype" | "shape">,
  unpacked: readonly number[],
  type: QuantizedType | null,
): void {
  const expected = type === null
    ? unpacked
    : [...unpacked.slice(0, -1), rowBytes(type, unpacked.at(-1)!)];
  if (shape.length !== expected.length || shape.some((size, i) => size !== expected[i])) {
    throw new DittoError(
      `Tensor ${show(name)} has shape ${show(shape)} and must have ${
        show(expected)
      }, as config.json ` +
        `implies.`,
    );
  }
  if (type !== null && dtype !== "U8") {
    throw new DittoError(
      `Tensor ${show(name)} has dtype ${dtype}, and weights that Ditto quantized are U8.`,
    );
  }
  const isNorm = unpacked.length === 1;
  const known = ["BF16", "F16", "F32", ...isNorm ? [] : ["F8_E4M3"]];
  if (type === null && !known.includes(dtype)) {
    const what = isNorm ? "norms" : "matrices";
    throw new DittoError(
      `Tensor ${show(name)} has dtype ${dtype}, and Ditto computes with ${what} of ` +
        `${known.join(", ")} only.`,
    );
  }
}
