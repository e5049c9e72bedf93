import { DittoError, POINTER, pointerError, show } from "./errors.ts";

/** A JSON object whose fields nobody has checked yet. */
export type JsonObject = Record<string, unknown>;

/** No metadata file of a real checkpoint comes near this; larger ones are not read at all. */
const MAX_BYTES = 100_000_000;

/** True for a JSON object; false for null, arrays and everything else. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Parses the bytes of a JSON file strictly: valid UTF-8 without a byte-order mark, and no key twice
 * in one object (`JSON.parse` would silently keep the last).
 *
 * @param bytes The bytes of the text.
 * @param where What they are, to begin the error message with.
 * @throws {DittoError} If the bytes are not UTF-8, not JSON, or repeat a key.
 */
export function parseJson(bytes: Uint8Array, where: string): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new DittoError(`${where} is not valid UTF-8: the file is damaged or not JSON.`, {
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const detail = show((cause as Error).message);
    throw new DittoError(`${where} is not valid JSON (${detail}): the file is damaged.`, { cause });
  }
  const key = duplicateKey(text);
  if (key !== null) {
    throw new DittoError(`${where} has the name ${show(key)} twice: which one counts is unclear.`);
  }
  return value;
}

/**
 * Reads a JSON file, strictly as {@linkcode parseJson}.
 *
 * @returns The value, or undefined if there is no such file (JSON itself has no undefined).
 * @throws {DittoError} If the file exists but cannot be read, or is larger than 100 MB, or is not
 * strict JSON.
 */
export async function readJson(path: string): Promise<unknown> {
  const bytes = await readSmallFile(path);
  return bytes && parseJson(bytes, path);
}

/**
 * Reads a whole file of at most 100 MB.
 *
 * @returns The bytes, or undefined if there is no such file.
 * @throws {DittoError} If it exists but cannot be read, is no regular file, is larger, or is a pointer of Git LFS.
 */
export async function readSmallFile(path: string): Promise<Uint8Array | undefined> {
  try {
    const { isFile, size } = await Deno.stat(path);
    if (!isFile) throw new DittoError(`${path} is not a regular file.`);
    if (size > MAX_BYTES) {
      throw new DittoError(`${path} has ${size} bytes; more than ${MAX_BYTES} are not believable.`);
    }
    const bytes = await Deno.readFile(path);
    const start = new TextDecoder().decode(bytes.subarray(0, POINTER.length));
    if (start === POINTER) throw pointerError(path);
    return bytes;
  } catch (cause) {
    if (cause instanceof DittoError) throw cause;
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new DittoError(`Cannot read ${path}: ${(cause as Error).message}.`, { cause });
  }
}

/**
 * Finds a key that one object of a JSON text has twice, or null. The text must be valid JSON; then a
 * string is a key exactly if a colon follows it, and only braces need to be counted.
 */
export function duplicateKey(text: string): string | null {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{") open.push(new Set());
    else if (char === "}") open.pop();
    else if (char === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      let next = i + 1;
      while (" \t\n\r".includes(text[next] ?? "x")) next++;
      if (text[next] !== ":") continue;
      const key: string = JSON.parse(text.slice(start, i + 1)); // "\u0061" and "a" are one name
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}
