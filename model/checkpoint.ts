import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import type { WeightType } from "../kernels/weight_types.ts";
import { type MistralConfig, parseConfig } from "./config.ts";
import { DittoError, show } from "./errors.ts";
import { readJson } from "./json.ts";
import { otherFormat } from "./other_formats.ts";
import { PositionedFile } from "./positioned_file.ts";
import { scalesOf } from "./fp8.ts";
import { isRepository } from "./hub_cache.ts";
import { quantizedType } from "./quantization.ts";
import { checkTensors } from "./required_tensors.ts";
import { floatType, readHeader, type SafetensorsEntry } from "./safetensors.ts";
import { findShards, list } from "./shards.ts";

/** A tensor of a checkpoint. */
export interface TensorInfo {
  /** Its name, as in the file of a model that only reads and writes text: `model.norm.weight`, say. */
  readonly name: string;
  /** Type of its elements; F8 for F8_E4M3; Q8 or Q4 for U8 in a quantized checkpoint. */
  readonly dtype: WeightType;
  /** Outermost dimension first; a matrix is [outputs, inputs], or in Q8 and Q4 [outputs, bytes of a row]. */
  readonly shape: readonly number[];
  /** Length of its data. */
  readonly byteLength: number;
  /** For F8, the name of the tensor that has its scales: one for all of it, or one for each output. */
  readonly scales?: string;
  /** The path of the file that holds it. */
  readonly file: string;
}

/** Bytes of two tensors that are compared at a time. */
const COMPARED_BYTES = 4 << 20;

/** Where a tensor's data lie. */
interface Place {
  readonly file: PositionedFile;
  readonly entry: SafetensorsEntry;
}

/**
 * A checkpoint whose files are open and whose metadata have been checked. Data are read on request,
 * a piece at a time, so a checkpoint costs no memory to speak of.
 */
export class Checkpoint implements Disposable {
  /** The shape of the model. */
  readonly config: MistralConfig;
  /**
   * The tensors by name. Those of other element types (old buffers of integers, say) are left out:
   * the forward pass does not need them.
   */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #files: DisposableStack;

  /** Use {@linkcode openCheckpoint}. */
  constructor(
    config: MistralConfig,
    places: ReadonlyMap<string, Place>,
    files: DisposableStack,
  ) {
    const tensors = new Map<string, TensorInfo>();
    for (const [name, { file, entry: { dtype, shape, byteLength } }] of places) {
      const stored = floatType(dtype) ?? quantizedType(name, config.quantization);
      if (stored === null) continue; // a quantized one has been checked to be U8
      const scales = stored === "F8" ? scalesOf(name, places) : null;
      const tensor = { name, dtype: stored, shape, byteLength, file: file.path };
      tensors.set(name, scales === null ? tensor : { ...tensor, scales });
    }
    this.config = config;
    this.tensors = tensors;
    this.#places = places;
    this.#files = files;
  }

  /**
   * Fills `into` with a piece of a tensor's data. Several reads may be under way at once.
   *
   * @param name The tensor.
   * @param byteOffset First byte, from the start of the tensor.
   * @throws {DittoError} If there is no such tensor, or its file has shrunk or was closed.
   * @throws {RangeError} If the piece does not lie inside the tensor.
   */
  async read(name: string, byteOffset: number, into: Uint8Array): Promise<void> {
    const { file, entry } = this.#place(name);
    const end = byteOffset + into.length;
    if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || end > entry.byteLength) {
      throw new RangeError(
        `Cannot read bytes ${byteOffset} to ${end} of tensor ${show(name)}: it has ` +
          `${entry.byteLength} bytes.`,
      );
    }
    await file.read(entry.byteOffset + byteOffset, into);
  }

  #place(name: string): Place {
    const place = this.#places.get(name);
    if (place === undefined) throw new DittoError(`The checkpoint has no tensor ${show(name)}.`);
    return place;
  }

  /** Closes the files. Doing it twice is harmless. */
  [Symbol.dispose](): void {
    this.#files.dispose();
  }
}

/**
 * Opens a Hugging Face checkpoint directory: reads its configuration and the headers of its weight
 * files, and checks that every tensor the model needs is there. No weights are read yet.
 *
 * @param directory A path or a `file:` URL, as {@linkcode directoryPath} takes them.
 * @throws {DittoError} If anything about it is missing, unsupported or contradictory; no file stays
 * open then.
 */
export async function openCheckpoint(directory: string | URL): Promise<Checkpoint> {
  const root = await checkDirectory(directory);
  const configJson = await readJson(`${root}/config.json`);
  if (configJson === undefined) {
    throw new DittoError(
      `${root} has no config.json: it is not a Hugging Face checkpoint directory.` +
        otherFormat(await list(root)),
    );
  }
  const config = parseConfig(configJson, await readJson(`${root}/generation_config.json`));
  const { files, weightMap } = await findShards(root);

  using stack = new DisposableStack();
  const stored = new Map<string, Place>();
  for (const name of files) {
    const file = stack.use(await PositionedFile.open(`${root}/${name}`));
    for (const entry of (await readHeader(file)).values()) {
      if (weightMap) checkListed(entry.name, name, weightMap, stored.get(entry.name));
      stored.set(entry.name, { file, entry });
    }
  }
  for (const [name, file] of weightMap ?? []) {
    if (stored.has(name)) continue;
    throw new DittoError(
      `${root}/${file} has no tensor ${show(name)}, but the index says so: the files belong to ` +
        `different checkpoints.`,
    );
  }
  const places = config.architecture === "Mistral3ForConditionalGeneration"
    ? textPlaces(stored)
    : stored;
  const tieWordEmbeddings = config.tieWordEmbeddings && !await hasOwnHead(places);
  const settled = { ...config, tieWordEmbeddings };
  checkTensors(settled, new Map([...places].map(([name, { entry }]) => [name, entry])), root);
  return new Checkpoint(settled, places, stack.move());
}

/**
 * The tensors of the language model in a model that also sees, by the names they have in one that does not. They are called
 * `language_model.model.…` and `language_model.lm_head.…`, or, inside transformers 5, `model.language_model.…`.
 */
function textPlaces(stored: ReadonlyMap<string, Place>): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const [name, place] of stored) {
    if (/^(model\.)?(vision_tower|multi_modal_projector)\./.test(name)) continue;
    const own = name
      .replace(/^language_model\.(?=(model|lm_head)\.)/, "")
      .replace(/^model\.language_model\./, "model.");
    if (places.has(own)) {
      throw new DittoError(
        `${place.file.path} has a tensor ${show(name)}, and ${
          show(places.get(own)!.entry.name)
        } would be the same part of the model: which one counts is unclear.`,
      );
    }
    places.set(own, place);
  }
  return places;
}

/**
 * Whether a checkpoint whose configuration has the head's weights tied to the embedding's holds a head that differs: then
 * the configuration is wrong, and transformers 5 uses the head.
 */
async function hasOwnHead(places: ReadonlyMap<string, Place>): Promise<boolean> {
  const [head, embedding] = ["lm_head.weight", "model.embed_tokens.weight"].map((name) =>
    places.get(name)
  );
  if (!head || !embedding) return false;
  const { dtype, byteLength } = head.entry;
  if (dtype !== embedding.entry.dtype || byteLength !== embedding.entry.byteLength) return true;
  for (let done = 0; done < byteLength; done += COMPARED_BYTES) {
    const size = Math.min(COMPARED_BYTES, byteLength - done);
    const [a, b] = await Promise.all([head, embedding].map(async ({ file, entry }) => {
      const bytes = new Uint8Array(size);
      await file.read(entry.byteOffset + done, bytes);
      return bytes;
    }));
    if (Buffer.compare(a!, b!) !== 0) return true;
  }
  return false;
}

/**
 * The path of a checkpoint directory, given as a path or a `file:` URL, which may be a string too, without looking for it.
 *
 * @throws {DittoError} If it is neither, or the URL is of no file on this machine.
 */
export function directoryPath(
  directory: string | URL,
  isWindows = Deno.build.os === "windows",
): string {
  const isUrl = directory instanceof URL;
  if (isUrl ? directory.protocol !== "file:" : typeof directory !== "string") {
    const found = isUrl ? directory.href : show(directory);
    throw new DittoError(`The directory is ${found}: it must be a path or a file: URL.`);
  }
  const path = isUrl || /^file:/i.test(directory) ? urlPath(directory) : directory;
  return path.replace(isWindows ? /(?<=[^:])[\\/]+$/ : /(?<=.)\/+$/, "");
}

function urlPath(url: string | URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new DittoError(
      `The directory is ${url}: that is the URL of no file on this machine (${
        (cause as Error).message
      }). Give its path.`,
      { cause },
    );
  }
}

async function checkDirectory(directory: string | URL): Promise<string> {
  const path = directoryPath(directory);
  try {
    if ((await Deno.stat(path)).isDirectory) return path;
  } catch (cause) {
    const isMissing = cause instanceof Deno.errors.NotFound;
    const why = isMissing ? "it does not exist" : (cause as Error).message;
    const advice = isMissing && isRepository(path)
      ? ` Nothing is downloaded here; if it is a model of Hugging Face, run: hf download ${path}`
      : "";
    throw new DittoError(
      `Cannot open the model directory ${path || '""'}: ${why}.${advice}`,
      { cause },
    );
  }
  const found = path.endsWith(".gguf") ? "is a file, and GGUF is not read" : "is a file";
  throw new DittoError(`${path} ${found}; give the directory of a Hugging Face checkpoint.`);
}

/** Checks that the index agrees with a tensor found in a shard. */
function checkListed(
  name: string,
  file: string,
  weightMap: ReadonlyMap<string, string>,
  earlier: Place | undefined,
): void {
  const listed = weightMap.get(name);
  if (earlier === undefined && listed === file) return;
  const problem = earlier !== undefined
    ? `and so has ${earlier.file.path}`
    : listed === undefined
    ? "but the index does not list it"
    : `but the index says it is in ${show(listed)}`;
  throw new DittoError(
    `${file} has a tensor ${show(name)}, ${problem}: the files belong to different checkpoints.`,
  );
}
