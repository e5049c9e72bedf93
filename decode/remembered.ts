/**
 * Remembers what was measured on a device, so that a model measures it the first time only.
 *
 * @module
 */
import { environmentVariable, isGranted } from "../model/permissions.ts";

/** Where caches belong on this system, or null if that is unknown or may not be asked. */
function cacheDirectory(): string | null {
  const given = environmentVariable("DITTO_CACHE");
  if (given) return given;
  const home = environmentVariable("HOME");
  const { os } = Deno.build;
  const base = os === "windows"
    ? environmentVariable("LOCALAPPDATA")
    : os === "darwin"
    ? home && `${home}/Library/Caches`
    : environmentVariable("XDG_CACHE_HOME") ?? (home && `${home}/.cache`);
  return base ? `${base}/ditto` : null;
}

/** A place in the user's cache directory (`DITTO_CACHE` names another) for what was measured. */
export class Remembered<T> {
  readonly #directory: string | null;
  readonly #file: string;
  readonly #isValid: (value: unknown) => value is T;

  private constructor(
    directory: string | null,
    file: string,
    isValid: (value: unknown) => value is T,
  ) {
    this.#directory = directory;
    this.#file = file;
    this.#isValid = isValid;
  }

  /**
   * The place for one device and model.
   *
   * @param key Tells device, kernels and model shape.
   * @param isValid Whether what was found there is such a value: anything may lie in a cache.
   * @param directory Where to keep it. Default: the user's cache directory, if it may be known.
   */
  static async at<T>(
    key: string,
    isValid: (value: unknown) => value is T,
    directory: string | null = cacheDirectory(),
  ): Promise<Remembered<T>> {
    const bytes = new TextEncoder().encode(key);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const file = `${directory}/device-${hash.toHex().slice(0, 32)}.json`;
    return new Remembered(directory, file, isValid);
  }

  /** Whether something can be kept here: tries to. */
  async isWritable(): Promise<boolean> {
    const half = await this.#half("");
    if (half !== null) await remove(half);
    return half !== null;
  }

  /** What was kept here; null if nothing was, or it cannot be read. */
  async get(): Promise<T | null> {
    if (!this.#directory || !isGranted({ name: "read", path: this.#file })) return null;
    try {
      const known = JSON.parse(await Deno.readTextFile(this.#file));
      return this.#isValid(known) ? known : null;
    } catch {
      return null; // not measured yet, or not readable
    }
  }

  /** Keeps a value, if it can. */
  async set(value: T): Promise<void> {
    const half = await this.#half(JSON.stringify(value));
    if (half !== null) await Deno.rename(half, this.#file).catch(() => remove(half)); // measured again next time
  }

  /** Writes a file beside the one that is meant, which others may write too. Returns its path; null if it cannot. */
  async #half(text: string): Promise<string | null> {
    const directory = this.#directory;
    if (!directory) return null;
    const needed = ["read", "write"] as const; // to rename, and to find it again
    if (!needed.every((name) => isGranted({ name, path: directory }))) return null;
    const half = `${this.#file}.${crypto.randomUUID()}`; // a process may load several models at once
    try {
      await Deno.mkdir(directory, { recursive: true });
      await Deno.writeTextFile(half, text);
      return half;
    } catch {
      await remove(half);
      return null;
    }
  }
}

/** Removes a file, if it can. */
async function remove(path: string): Promise<void> {
  await Deno.remove(path).catch(() => {});
}
