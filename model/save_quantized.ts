/**
 * Writes a checkpoint with its weights in few bits, as a stream: neither the machine's memory nor the GPU's
 * ever holds more than a few rows.
 *
 * @module
 */
import { dirname } from "node:path";
import { openGpu, type OpenOptions } from "../kernels/open_gpu.ts";
import {
  FLOAT_BYTES,
  isQuantized,
  type QuantizedType,
  rowBytes,
  type WeightType,
} from "../kernels/weight_types.ts";
import { type Checkpoint, directoryPath, openCheckpoint } from "./checkpoint.ts";
import { DittoError, inputError, show } from "./errors.ts";
import { readScales, rowScales } from "./fp8.ts";
import { findModel } from "./hub_cache.ts";
import { readJson } from "./json.ts";
import { checkProgress, checkSignal, deviceOptions, givenOptions } from "./options.ts";
import { type Quantization, quantizationConfig, quantizedType } from "./quantization.ts";
import { MAX_PACKED_ROWS, Quantizer } from "./quantizer.ts";
import { requiredTensors } from "./required_tensors.ts";
import { encodeHeader } from "./safetensors.ts";
import { repack } from "./repack.ts";
import type { LoadProgress } from "./weights.ts";

/** How to save. */
export interface SaveQuantizedOptions {
  /** Called as weights are written. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Bytes of a file of weights at most, unless one tensor is larger. Default 4e9. */
  readonly maxShardBytes?: number | undefined;
  /** Ends the saving early, which then fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Which device to use, and how to open it. Default: the first of `listDevices()`. */
  readonly device?: OpenOptions | undefined;
}

const OPTIONS = {
  onProgress: true,
  maxShardBytes: true,
  signal: true,
  device: true,
} satisfies Record<keyof SaveQuantizedOptions, true>;

/** Bytes read from the checkpoint at a time. */
const CHUNK_BYTES = 16 << 20;

/** Files of weights in any format, which are not taken along. */
const WEIGHT_FILE = /\.(safetensors|bin|gguf|pth?|h5|msgpack|onnx)(\.index\.json)?$/;

/** A tensor as it is written. */
interface Stored {
  readonly name: string;
  readonly type: WeightType;
  /** [outputs, inputs], or the size of a norm. */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/**
 * Quantizes a checkpoint and writes it to a new directory, which loads like any other: weights as safetensors,
 * in shards where they are large, `config.json` with a `quantization_config`, and all other files as they are.
 *
 * @param directory The checkpoint, in bf16, f16, f32 or fp8, as `loadModel` takes it.
 * @param target The directory to write: its path, or a `file:` URL; it is made unless it exists and is empty.
 * @returns Bytes of weights written.
 * @throws {DittoError} If `quantization` is neither "q8" nor "q4", the checkpoint is damaged, not supported or quantized
 * already, the target is not empty, an option cannot be taken, a file cannot be written, or the device fails. What was
 * written by then is removed, and so after an abort.
 */
export async function saveQuantized(
  directory: string | URL,
  target: string | URL,
  quantization: Quantization,
  options: SaveQuantizedOptions = {},
): Promise<number> {
  const given = givenOptions(options, OPTIONS);
  const { onProgress = () => {}, maxShardBytes = 4e9, signal } = given;
  checkProgress(onProgress);
  checkSignal(signal);
  const device = deviceOptions(given.device);
  signal?.throwIfAborted();
  if (quantization !== "q8" && quantization !== "q4") {
    throw inputError(
      `The checkpoint is to be saved in ${show(quantization)}: it must be "q8" or "q4".`,
    );
  }
  if (!(typeof maxShardBytes === "number" && maxShardBytes > 0)) {
    throw inputError(
      `The option maxShardBytes is ${show(maxShardBytes)}: it must be a number above 0.`,
    );
  }
  const source = await findModel(directoryPath(directory));
  using checkpoint = await openCheckpoint(source);
  if (checkpoint.config.quantization) {
    throw inputError(
      `The checkpoint in ${source} holds its weights in ` +
        `${checkpoint.config.quantization} already: quantize the one it was made from.`,
    );
  }
  using gpu = await openGpu(device);
  using quantizer = new Quantizer(gpu);
  const tensors = requiredTensors(checkpoint.config).map(({ name, shape }) => {
    const { dtype, byteLength } = checkpoint.tensors.get(name)!;
    const type = quantizedType(name, quantization);
    if (type === null) return { name, type: dtype, shape, byteLength };
    return { name, type, shape, byteLength: shape[0]! * rowBytes(type, shape[1]!) };
  });
  const totalBytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const others = await otherFiles(source);
  const root = directoryPath(target);
  const made = await makeDirectory(root);
  const written: string[] = [];
  try {
    const shards = intoShards(tensors, maxShardBytes);
    let loadedBytes = 0;
    for (const { file, tensors } of shards) {
      written.push(`${root}/${file}`);
      await using writer = new Writer(`${root}/${file}`);
      await writer.write(header(tensors));
      for (const tensor of tensors) {
        const pieces = isQuantized(tensor.type)
          ? packed(checkpoint, quantizer, gpu, tensor, tensor.type)
          : copied(checkpoint, tensor);
        for await (const piece of pieces) {
          signal?.throwIfAborted();
          await writer.write(piece);
          loadedBytes += piece.length;
          onProgress({ loadedBytes, totalBytes });
        }
      }
    }
    await quantizer.check();
    signal?.throwIfAborted();
    if (shards.length > 1) {
      const index = { metadata: { total_size: totalBytes }, weight_map: weightMap(shards) };
      await writeJson(`${root}/model.safetensors.index.json`, index, written);
    }
    await copyFiles(others, source, root, written);
    // Last: without it an interrupted copy is no checkpoint.
    const config = await readJson(`${source}/config.json`) as object;
    const extended = { ...config, quantization_config: quantizationConfig(quantization) };
    await writeJson(`${root}/config.json`, extended, written);
  } catch (error) {
    await Promise.allSettled(written.map((path) => Deno.remove(path)));
    for (const directory of made) await Deno.remove(directory).catch(() => {});
    throw error;
  }
  return totalBytes;
}

/** A tensor's rows in few bits, chunk by chunk. */
async function* packed(
  checkpoint: Checkpoint,
  quantizer: Quantizer,
  gpu: Awaited<ReturnType<typeof openGpu>>,
  { name: tensor, shape }: Stored,
  type: QuantizedType,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const [outputs, inputs] = shape as [number, number];
  const { dtype } = checkpoint.tensors.get(tensor)!;
  if (isQuantized(dtype)) throw new TypeError(`${tensor} is quantized already`);
  const scales = await readScales(checkpoint, tensor);
  const sourceBytes = inputs * FLOAT_BYTES[dtype];
  const rowsPerChunk = Math.min(
    Math.max(1, Math.floor(CHUNK_BYTES / sourceBytes)),
    MAX_PACKED_ROWS,
    outputs,
  );
  const buffer = gpu.buffer(`${tensor} in few bits`, rowsPerChunk * rowBytes(type, inputs));
  try {
    for (let row = 0; row < outputs; row += rowsPerChunk) {
      const rows = Math.min(rowsPerChunk, outputs - row);
      const bytes = new Uint8Array(rows * sourceBytes);
      await checkpoint.read(tensor, row * sourceBytes, bytes);
      const own = scales && rowScales(scales, row, rows);
      const data = repack({ tensor, dtype, inputs, rows, bytes, scales: own }, dtype);
      quantizer.pack({ tensor, dtype, inputs, rows, data }, type, buffer, 0);
      yield new Uint8Array(await gpu.read(buffer, 0, rows * rowBytes(type, inputs)));
    }
  } finally {
    gpu.free(buffer);
  }
}

/** A tensor as it is. */
async function* copied(
  checkpoint: Checkpoint,
  { name, byteLength }: Stored,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(byteLength);
  await checkpoint.read(name, 0, bytes);
  yield bytes;
}

interface Shard {
  readonly file: string;
  readonly tensors: readonly Stored[];
}

/** Puts tensors into as few files as their size allows, in order. */
function intoShards(tensors: readonly Stored[], maxBytes: number): Shard[] {
  const groups: Stored[][] = [];
  let bytes = Infinity;
  for (const tensor of tensors) {
    if (bytes + tensor.byteLength > maxBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)!.push(tensor);
    bytes += tensor.byteLength;
  }
  if (groups.length === 1) return [{ file: "model.safetensors", tensors }];
  const five = (n: number) => String(n).padStart(5, "0");
  return groups.map((tensors, i) => ({
    file: `model-${five(i + 1)}-of-${five(groups.length)}.safetensors`,
    tensors,
  }));
}

function weightMap(shards: readonly Shard[]): Record<string, string> {
  return Object.fromEntries(
    shards.flatMap(({ file, tensors }) => tensors.map(({ name }) => [name, file])),
  );
}

/** What comes before the data in a safetensors file: the header's length, and the header. */
function header(tensors: readonly Stored[]): Uint8Array<ArrayBuffer> {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, type, shape, byteLength } of tensors) {
    const offsets = { data_offsets: [end, end += byteLength] };
    entries[name] = isQuantized(type)
      ? { dtype: "U8", shape: [shape[0], byteLength / shape[0]!], ...offsets }
      : { dtype: type, shape, ...offsets };
  }
  return encodeHeader(entries);
}

/** A file that is written from beginning to end. */
class Writer implements AsyncDisposable {
  #path: string;
  #file: Deno.FsFile | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      this.#file ??= await Deno.open(this.#path, { write: true, createNew: true });
      for (let done = 0; done < bytes.length;) {
        done += await this.#file.write(bytes.subarray(done));
      }
    } catch (cause) {
      throw cannotWrite(this.#path, cause);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#file?.close();
    return Promise.resolve();
  }
}

/** Makes the directory unless it is there, and refuses one that is not empty. Returns what was made, the innermost first. */
async function makeDirectory(root: string): Promise<string[]> {
  const made: string[] = [];
  try {
    const isThere = (path: string) => Deno.lstat(path).then(() => true, () => false);
    for (let path = root; !await isThere(path); path = dirname(path)) made.push(path);
    await Deno.mkdir(root, { recursive: true });
    for await (const { name } of Deno.readDir(root)) {
      throw new DittoError(
        `The directory ${root} has a file ${name} already: give a new or an empty one.`,
      );
    }
    return made;
  } catch (cause) {
    throw cause instanceof DittoError ? cause : cannotWrite(root, cause);
  }
}

async function writeJson(path: string, value: unknown, written: string[]): Promise<void> {
  written.push(path);
  try {
    await Deno.writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`);
  } catch (cause) {
    throw cannotWrite(path, cause);
  }
}

/** Names of the files that are no weights and are taken along: tokenizer, chat template, licence. */
async function otherFiles(directory: string): Promise<string[]> {
  const names: string[] = [];
  let path = directory;
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (name === "config.json" || WEIGHT_FILE.test(name)) continue;
      path = `${directory}/${name}`;
      if ((await Deno.stat(path)).isFile) names.push(name); // asked this way because it may be a link
    }
  } catch (cause) {
    throw new DittoError(
      `Cannot read ${path}, which is to be taken along: ${(cause as Error).message}.`,
      { cause },
    );
  }
  return names;
}

async function copyFiles(
  names: readonly string[],
  from: string,
  to: string,
  written: string[],
): Promise<void> {
  for (const name of names) {
    written.push(`${to}/${name}`);
    try {
      await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
    } catch (cause) {
      throw cannotWrite(`${to}/${name}`, cause);
    }
  }
}

function cannotWrite(path: string, cause: unknown): DittoError {
  return new DittoError(`Cannot write ${path}: ${(cause as Error).message}.`, { cause });
}
