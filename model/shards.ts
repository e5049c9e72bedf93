import { DittoError, show } from "./errors.ts";
import { isObject, readJson } from "./json.ts";
import { otherFormat } from "./other_formats.ts";

/** Which files hold a checkpoint's weights. */
export interface Shards {
  /** File names inside the checkpoint's directory, each once. */
  readonly files: readonly string[];
  /** Tensor name to file name, as the index promises; null for a single file, which has no index. */
  readonly weightMap: ReadonlyMap<string, string> | null;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const SHARD = /^model-\d+-of-\d+\.safetensors$/;

/**
 * Finds the weight files of a checkpoint: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` lists. Where both exist the single file counts, as in transformers.
 *
 * @throws {DittoError} If there is neither, the index is invalid or leaves the directory, or a shard
 * is missing or lies there without being listed.
 */
export async function findShards(directory: string): Promise<Shards> {
  const present = await list(directory);
  if (present.has(SINGLE)) return { files: [SINGLE], weightMap: null };

  const path = `${directory}/${INDEX}`;
  const index = await readJson(path);
  if (index === undefined) throw noWeights(directory, present);
  const weightMap = parseWeightMap(index, path);
  const files = [...new Set(weightMap.values())];
  for (const file of files) {
    if (!file.includes("/") && !present.has(file)) {
      throw new DittoError(`${directory}/${file} is missing, but ${INDEX} lists it: download it.`);
    }
  }
  for (const name of present) {
    if (SHARD.test(name) && !files.includes(name)) {
      throw new DittoError(
        `${directory}/${name} is a shard that ${INDEX} does not list: two checkpoints are mixed in ` +
          `this directory; remove what does not belong.`,
      );
    }
  }
  return { files, weightMap };
}

/** The names of what a directory holds. */
export async function list(directory: string): Promise<Set<string>> {
  try {
    return new Set(await Array.fromAsync(Deno.readDir(directory), ({ name }) => name));
  } catch (cause) {
    throw new DittoError(`Cannot list ${directory}: ${(cause as Error).message}.`, { cause });
  }
}

function parseWeightMap(index: unknown, path: string): Map<string, string> {
  const map = isObject(index) ? index.weight_map : undefined;
  if (!isObject(map) || Object.keys(map).length === 0) {
    throw new DittoError(
      `${path} has weight_map ${show(map)} and must have an object of tensor and file names.`,
    );
  }
  return new Map(
    Object.entries(map).map(([name, file]) => {
      if (typeof file === "string" && staysInside(file)) return [name, file];
      throw new DittoError(
        `${path} puts tensor ${show(name)} into ${
          show(file)
        }, which is not the name of a file in its ` +
          `directory.`,
      );
    }),
  );
}

/** True for a relative path without a step up. Links are followed: Hugging Face's cache has them. */
function staysInside(file: string): boolean {
  return !/[\\:\0]/.test(file) &&
    file.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function noWeights(directory: string, present: ReadonlySet<string>): DittoError {
  const others = [...present].filter((name) => /\.(safetensors|bin|gguf|pth?)$/.test(name)).sort();
  const found = others.length > 0 ? ` (found ${others.slice(0, 3).join(", ")})` : "";
  const advice = others.some((name) => SHARD.test(name))
    ? " The index of the shards is missing: download it too."
    : otherFormat(present);
  return new DittoError(
    `${directory} has neither ${SINGLE} nor ${INDEX}${found}: Ditto reads Hugging Face checkpoints ` +
      `in the safetensors format.${advice}`,
  );
}
