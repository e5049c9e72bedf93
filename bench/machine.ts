/**
 * What a result has to say about the machine and the code it came from, and where it is kept.
 *
 * @module
 */
import { DittoError } from "../kernels/errors.ts";

/**
 * The graphics driver's version, where this system tells one.
 *
 * @param device The device's name, as WebGPU gives it.
 */
export async function driverVersion(device: string): Promise<string | null> {
  if (/nvidia|geforce|quadro|tesla/i.test(device)) {
    const version = await output(
      "nvidia-smi",
      "--query-gpu=driver_version",
      "--format=csv,noheader",
    );
    return version && `NVIDIA ${version.split("\n")[0]}`;
  }
  const summary = await output("vulkaninfo", "--summary");
  const found = summary?.split(/^GPU\d+:/m).find((gpu) => gpu.includes(device));
  return found?.match(/driverInfo\s*=\s*(.*)/)?.[1]?.trim() ?? null;
}

/**
 * The commit that is checked out, with "+" behind it where files differ from it. The environment variable
 * `DITTO_COMMIT` tells it where there is no repository.
 */
export async function commit(): Promise<string | null> {
  const given = Deno.env.get("DITTO_COMMIT");
  if (given) return given;
  const hash = await output("git", "rev-parse", "--short=10", "HEAD");
  if (!hash) return null;
  return await output("git", "status", "--porcelain", "--untracked-files=no") ? `${hash}+` : hash;
}

/**
 * Sees to it, before anything is measured, that a result can be written.
 *
 * @param path What was given as `--out`: a file, or a directory; one that ends with "/" is made.
 * @throws {DittoError} If it is empty, or the directory in which the file would lie is not there.
 */
export async function prepareOut(path: string): Promise<void> {
  if (path === "") throw new DittoError("--out needs a path.");
  if (path.endsWith("/")) return await Deno.mkdir(path, { recursive: true });
  const parent = path.replace(/[^/]*$/, "") || ".";
  if (!(await exists(parent))?.isDirectory) {
    throw new DittoError(`--out is ${path}, but there is no directory ${parent}: make it first.`);
  }
}

/**
 * Where to write a result. A directory's file is named `<device>-<date>.json`, with the engine's name before
 * it if that is not Ditto; results that lie there already are kept.
 *
 * @param path A file, or a directory that exists.
 */
export async function resultPath(
  path: string,
  { engine, device, date }: { engine: string; device: string; date: string },
): Promise<string> {
  if (!(await exists(path))?.isDirectory) return path;
  const directory = path.replace(/(?<=.)\/+$/, "");
  const names = [engine === "Ditto" ? [] : slug(engine), slug(device), date.slice(0, 10)].flat();
  for (let i = 1;; i++) {
    const file = `${directory}/${[...names, ...(i > 1 ? [i] : [])].join("-")}.json`;
    if (!await exists(file)) return file;
  }
}

/** A name in small letters and hyphens, without what stands in brackets. */
function slug(name: string): string {
  return name.toLowerCase().replace(/\(.*?\)/g, "").replace(/[^a-z0-9.]+/g, "-")
    .replace(/^-|-$/g, "");
}

async function exists(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** What a command prints, or null if there is none or it fails. */
async function output(command: string, ...args: string[]): Promise<string | null> {
  try {
    const { success, stdout } = await new Deno.Command(command, { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
