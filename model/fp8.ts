/**
 * FP8 checkpoints: a matrix is a tensor of F8_E4M3, and beside it lies what its numbers are to be multiplied by.
 *
 * Which matrices these are their dtypes say; `quantization_config` says that nothing else was done to the model. Scales
 * of activations are for products in FP8. Here they are in f32, and those scales are not needed.
 *
 * Sources: transformers' integrations/finegrained_fp8.py (Mistral's own checkpoints), compressed-tensors'
 * float-quantized and naive-quantized formats (those of llm-compressor), vLLM's Fp8Config.
 *
 * @module
 */
import { DittoError, show } from "./errors.ts";
import { LEAST, MOST } from "./fields.ts";
import { isObject, type JsonObject } from "./json.ts";
import { widen } from "./repack.ts";
import type { SafetensorsEntry } from "./safetensors.ts";
import type { WeightSource } from "./weights.ts";

/** What scales are called, after the name of their matrix without its `weight`. Both are factors. */
const SCALES = ["weight_scale", "weight_scale_inv"];
/** Those of activations. */
const UNUSED = ["activation_scale", "input_scale"];

type Tensors = ReadonlyMap<string, Pick<SafetensorsEntry, "name" | "dtype" | "shape">>;

/** The name of the scales of a matrix in F8, where there is just one such tensor. */
export function scalesOf(
  weight: string,
  tensors: { readonly has: (name: string) => boolean },
): string | null {
  const found = SCALES.map((name) => beside(weight, name)).filter((name) => tensors.has(name));
  return found.length === 1 ? found[0]! : null;
}

function beside(weight: string, name: string): string {
  return weight.replace(/weight$/, name);
}

/** The matrix a tensor belongs to, if it has scales of one, by its name; else null. */
export function scaledBy(name: string): string | null {
  const last = name.slice(name.lastIndexOf(".") + 1);
  if (![...SCALES, ...UNUSED].includes(last)) return null;
  return `${name.slice(0, -last.length)}weight`;
}

/**
 * Checks that a matrix in F8 has scales: one for all of it, or one for each output.
 *
 * @throws {DittoError} If they are missing, there twice, of another shape or not of BF16, F16 or F32.
 */
export function checkScales(weight: string, outputs: number, tensors: Tensors): void {
  const name = scalesOf(weight, tensors);
  if (name === null) {
    const names = SCALES.map((name) => show(beside(weight, name))).join(" or ");
    throw new DittoError(
      `Tensor ${show(weight)} has dtype F8_E4M3 and needs either ${names} beside it, and no other.`,
    );
  }
  const { shape, dtype } = tensors.get(name)!;
  const isOne = shape.every((size) => size === 1);
  const isEach = shape.length === 2 && shape[0] === outputs && shape[1] === 1;
  if (!isOne && !isEach) {
    throw new DittoError(
      `Tensor ${show(name)} has shape ${show(shape)}: Ditto needs one scale for the matrix, or ` +
        `one for each output, [${outputs},1]. Scales of blocks are not supported.`,
    );
  }
  if (dtype !== "BF16" && dtype !== "F16" && dtype !== "F32") {
    throw new DittoError(
      `Tensor ${show(name)} has dtype ${dtype}, and scales must be BF16, F16 or F32.`,
    );
  }
}

/** What rows [first, first + count) are multiplied by. `scales`: one for all, or one for each. */
export function rowScales(
  scales: Float32Array<ArrayBuffer>,
  first: number,
  count: number,
): Float32Array<ArrayBuffer> {
  return scales.length === 1
    ? new Float32Array(count).fill(scales[0]!)
    : scales.subarray(first, first + count);
}

/**
 * Reads the scales of a matrix.
 *
 * @returns One for all of it, or one for each row; null for a matrix that is not in F8.
 * @throws {DittoError} If one is not above zero, not finite, or too small or large for f32 to hold the weights.
 */
export async function readScales(
  source: Pick<WeightSource, "tensors" | "read">,
  weight: string,
): Promise<Float32Array<ArrayBuffer> | null> {
  const { dtype, scales: name } = source.tensors.get(weight)!;
  if (dtype !== "F8") return null;
  const stored = source.tensors.get(name!)!;
  const bytes = new Uint8Array(stored.byteLength);
  await source.read(name!, 0, bytes);
  const scales = widen(bytes, stored.dtype as "BF16" | "F16" | "F32"); // so checkScales() says
  // Within these, scaled weights are normal numbers in f32, and so are scales times 2^8.
  const bad = scales.find((scale) => !(scale >= LEAST && scale <= MOST));
  if (bad === undefined) return scales;
  throw new DittoError(
    `Tensor ${show(name)} has the scale ${bad}, and scales must be from ${LEAST} to ${MOST}. The ` +
      `checkpoint is damaged.`,
  );
}

/** Fields and the values they may have besides null and none. */
type Accepted = Readonly<Record<string, readonly unknown[]>>;

/** Of `quant_method` "fp8", transformers' and vLLM's. What was converted the dtypes say. */
const FP8: Accepted = {
  weight_block_size: [],
  scale_fmt: ["float"],
  fmt: ["e4m3"],
  kv_cache_scheme: [],
};
/** In "compressed-tensors"; the second says no more than that weights lie as they are, and those in FP8 lie the same way. */
const FORMATS = ["float-quantized", "naive-quantized"];
/** Of "compressed-tensors". */
const COMPRESSED: Accepted = {
  format: FORMATS,
  kv_cache_scheme: [],
  moe_sparsity_config: [],
};
const SPARSITY: Accepted = { format: ["dense"] };
const TRANSFORM: Accepted = { config_groups: [] };
const GROUP: Accepted = { format: FORMATS, output_activations: [] };
const WEIGHTS: Accepted = {
  num_bits: [8],
  type: ["float"],
  strategy: ["tensor", "channel"],
  symmetric: [true],
  dynamic: [false],
  group_size: [],
  block_structure: [],
  actorder: [],
};

/**
 * Checks a `quantization_config` of an FP8 checkpoint.
 *
 * @returns Whether it is one.
 * @throws {DittoError} If it says that more was done to the model than to multiply matrices by scales.
 */
export function isFp8(config: JsonObject): boolean {
  const { quant_method } = config;
  if (quant_method === "fp8") {
    check(config, FP8, "");
    return true;
  }
  if (quant_method !== "compressed-tensors") return false;
  check(config, COMPRESSED, "");
  check(object(config.sparsity_config ?? {}, "sparsity_config"), SPARSITY, "sparsity_config.");
  check(object(config.transform_config ?? {}, "transform_config"), TRANSFORM, "transform_config.");
  const groups = Object.entries(object(config.config_groups, "config_groups"));
  for (const [name, value] of groups) {
    const path = `config_groups.${name}`;
    const group = object(value, path);
    check(group, GROUP, `${path}.`);
    check(object(group.weights, `${path}.weights`), WEIGHTS, `${path}.weights.`);
  }
  return true;
}

function check(json: JsonObject, accepted: Accepted, path: string): void {
  for (const [field, values] of Object.entries(accepted)) {
    const value = json[field] ?? null;
    if (value === null || values.includes(value)) continue;
    const expected = values.length > 0 ? `only ${values.map(show).join(" or ")}` : "no such field";
    throw unsupported(`${path}${field}`, value, expected);
  }
}

function object(json: unknown, path: string): JsonObject {
  if (isObject(json)) return json;
  throw unsupported(path, json, "only an object");
}

function unsupported(path: string, value: unknown, expected: string): DittoError {
  return new DittoError(
    `config.json has quantization_config.${path} ${show(value)}, which Ditto does not support ` +
      `(${expected}): of what others quantized it reads FP8 with a scale for each matrix or each output. Give it ` +
      `that, or the model in bf16, f16 or f32.`,
  );
}
