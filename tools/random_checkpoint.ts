/**
 * Writes a checkpoint of a model's real shape with made-up weights, for tests of loading: shards, their index
 * and config.json, as Hugging Face lays them out, but no tokenizer. It streams: memory stays small.
 *
 *     deno run -A tools/random_checkpoint.ts --shape mistral-7b --out DIR
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { count, runMain } from "../bench/arguments.ts";
import { randomWeights } from "../bench/random_weights.ts";
import { SHAPE_NAMES, shapeJson } from "../bench/shapes.ts";
import { parseConfig } from "../model/config.ts";
import { DittoError } from "../model/errors.ts";
import { requiredTensors } from "../model/required_tensors.ts";
import { encodeHeader } from "../model/safetensors.ts";

const HELP = `Writes a checkpoint of a model's real shape with made-up weights.

  --shape NAME   ${SHAPE_NAMES.join(" | ")} (default mistral-7b)
  --layers N     layers to write (default all)
  --out DIR      where to; made if it does not exist, and must be empty`;

/** Bytes of a shard at most, as Hugging Face cuts them. */
const SHARD_BYTES = 5e9;
/** Bytes made and written at a time. */
const CHUNK_BYTES = 16 << 20;

/** What was written. */
export interface WrittenCheckpoint {
  /** Names of the shards, in order. */
  readonly files: readonly string[];
  /** Bytes of weights in all. */
  readonly bytes: number;
}

/**
 * Writes `config.json`, shards and `model.safetensors.index.json` with weights in bf16.
 *
 * @param config What `config.json` is to hold.
 * @param directory Made if it does not exist.
 * @param shardBytes Bytes of weights in a shard at most, unless one tensor alone has more. Default 5 GB.
 * @param onProgress Called with the bytes written so far after every shard.
 * @throws {DittoError} If the directory is not empty, or the configuration is none that Ditto runs.
 */
export async function writeRandomCheckpoint(
  config: Record<string, unknown>,
  directory: string,
  shardBytes: number = SHARD_BYTES,
  onProgress: (bytes: number) => void = () => {},
): Promise<WrittenCheckpoint> {
  const parsed = parseConfig(config);
  await Deno.mkdir(directory, { recursive: true });
  for await (const { name } of Deno.readDir(directory)) {
    throw new DittoError(`${directory} holds ${name}: give an empty directory, or a new one.`);
  }
  const source = randomWeights(parsed);
  const tensors = requiredTensors(parsed).map((tensor) => ({
    ...tensor,
    bytes: source.tensors.get(tensor.name)!.byteLength,
  }));
  const shards: (typeof tensors)[] = [];
  let room = 0;
  for (const tensor of tensors) {
    if (tensor.bytes > room) {
      shards.push([]);
      room = shardBytes;
    }
    shards.at(-1)!.push(tensor);
    room -= tensor.bytes;
  }

  const number = (i: number) => String(i).padStart(5, "0");
  const files: string[] = [];
  const weightMap: Record<string, string> = {};
  let bytes = 0;
  for (const [i, shard] of shards.entries()) {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    using file = await Deno.open(`${directory}/${name}`, { write: true, createNew: true });
    await writeAll(file, header(shard));
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (const tensor of shard) {
      weightMap[tensor.name] = name;
      for (let at = 0; at < tensor.bytes; at += CHUNK_BYTES) {
        const piece = chunk.subarray(0, Math.min(CHUNK_BYTES, tensor.bytes - at));
        await source.read(tensor.name, at, piece);
        await writeAll(file, piece);
      }
      bytes += tensor.bytes;
    }
    files.push(name);
    onProgress(bytes);
  }
  const writeJson = (name: string, value: unknown) =>
    Deno.writeTextFile(`${directory}/${name}`, JSON.stringify(value, null, 2) + "\n");
  await writeJson("model.safetensors.index.json", {
    metadata: { total_size: bytes },
    weight_map: weightMap,
  });
  await writeJson("config.json", config);
  return { files, bytes };
}

function header(tensors: readonly { name: string; shape: readonly number[]; bytes: number }[]) {
  let end = 0;
  const entries = tensors.map(({ name, shape, bytes }) => {
    const start = end;
    end += bytes;
    return [name, { dtype: "BF16", shape, data_offsets: [start, end] }] as const;
  });
  return encodeHeader({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) });
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: ["shape", "layers", "out"],
    boolean: ["help"],
    default: { shape: "mistral-7b" },
    unknown: (name) => {
      throw new DittoError(`Unknown argument "${name}".\n\n${HELP}`);
    },
  });
  if (flags.help) return console.log(HELP);
  if (!flags.out) throw new DittoError(`Give the directory to write to: --out DIR.\n\n${HELP}`);
  const config = shapeJson(flags.shape, count("layers", flags.layers));
  const start = performance.now();
  const { files, bytes } = await writeRandomCheckpoint(
    config,
    flags.out,
    SHARD_BYTES,
    (bytes) => console.error(`${(bytes / 1e9).toFixed(2)} GB written`),
  );
  const seconds = (performance.now() - start) / 1000;
  console.log(
    `${files.length} shards, ${(bytes / 1e9).toFixed(2)} GB in ${flags.out}, ` +
      `${(bytes / 1e9 / seconds).toFixed(2)} GB/s`,
  );
}

if (import.meta.main) await runMain(main);
