/**
 * Reads the results that the report draws: those of engines (bench/result.ts) and those that
 * `bench/replay.ts --out` writes, computed without weights.
 *
 * @module
 */
import { DittoError } from "../../kernels/errors.ts";
import type { TaskFigures } from "../replay/score.ts";
import type { EndToEndResult } from "../result.ts";

/** What `bench/replay.ts --out` writes: a drafter's score on recorded answers, computed without weights. */
export interface Simulation {
  readonly kind?: "simulation";
  readonly drafter?: string;
  readonly numDraft?: number;
  /** A pass of r rows is taken to cost 1 + rowCost · (r − 1) plain passes. */
  readonly rowCost?: number;
  readonly tasks: Readonly<Record<string, TaskFigures>>;
  /** The single answers. */
  readonly answers?: readonly {
    readonly task: string;
    readonly category: string | null;
    readonly tokens: number;
    readonly passes: number;
    readonly speed: number;
  }[];
}

/** A result and the file it came from. */
export interface ResultFile {
  readonly name: string;
  readonly result: EndToEndResult | Simulation;
}

/**
 * Reads result files.
 *
 * @param paths Files, and directories whose `.json` files are read.
 * @returns The results by file name.
 * @throws {DittoError} If a file is not there or holds something else, or there is none.
 */
export async function readResults(paths: readonly string[]): Promise<ResultFile[]> {
  const files: string[] = [];
  for (const path of paths) {
    const stat = await reading(path, () => Deno.stat(path));
    if (!stat.isDirectory) files.push(path);
    else {
      for await (const { name } of Deno.readDir(path)) {
        if (name.endsWith(".json")) files.push(`${path}/${name}`);
      }
    }
  }
  if (files.length === 0) throw new DittoError(`There are no results in ${paths.join(", ")}.`);
  const results = await Promise.all(files.map(readResult));
  return results.sort((a, b) => a.name < b.name ? -1 : 1);
}

async function readResult(path: string): Promise<ResultFile> {
  const text = await reading(path, () => Deno.readTextFile(path));
  let result: unknown;
  try {
    result = JSON.parse(text);
  } catch {
    throw new DittoError(`${path} is not JSON, as results are.`);
  }
  if (!isSimulation(result) && !isEndToEnd(result)) {
    throw new DittoError(
      `${path} is no result of bench/end_to_end.ts, bench/peers/ or bench/replay.ts, or not a whole one.`,
    );
  }
  const name = path.replace(/.*[/\\]/, "").replace(/\.json$/, "");
  return { name, result };
}

type Json = Record<string, unknown>;

/** Whether a value has what is drawn of a simulation. */
function isSimulation(value: unknown): value is Simulation {
  const { kind = "simulation", tasks }: Json = Object(value);
  const isTask = (task: unknown) => {
    const { tokensPerPass, speed }: Json = Object(task);
    return tokensPerPass instanceof Object && speed instanceof Object;
  };
  return kind === "simulation" && tasks instanceof Object && !Array.isArray(tasks) &&
    Object.values(tasks).every(isTask);
}

/** Whether a value has what is drawn of an engine's run. */
function isEndToEnd(value: unknown): value is EndToEndResult {
  const { kind, ...result }: Json = Object(value);
  return kind === "end-to-end" &&
    ["engine", "date", "device", "shape", "dtype"].every((name) =>
      typeof result[name] === "string"
    ) &&
    ["prefill", "plain", "replays"].every((name) => Array.isArray(result[name]));
}

async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw new DittoError(`${path} cannot be read: ${(error as Error).message}.`);
  }
}
