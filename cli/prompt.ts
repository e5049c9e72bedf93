/**
 * Reads the prompt from where the command line says it is.
 *
 * @module
 */
import { DittoError, type Message, type Prompt } from "../mod.ts";
import { describeFileError } from "./file_error.ts";
import type { PromptSource } from "./options.ts";

/** Bytes that are read at most: the largest context has 2²⁴ tokens, of 16 bytes each then. */
const MAX_BYTES = 256 << 20;

/**
 * Reads the prompt.
 *
 * @returns Its text, its token ids, or the messages of a chat.
 * @throws {DittoError} If it cannot be read, is not UTF-8 or JSON, or is empty.
 */
export async function readPrompt(source: PromptSource): Promise<Prompt> {
  switch (source.kind) {
    case "text":
      return source.text;
    case "file":
      return text(await readFile(source.path), `The prompt file ${source.path}`);
    case "ids":
      return await readArray(
        source.path,
        "token ids, such as [1, 415, 3446]",
        (id) => typeof id === "number",
      );
    case "messages":
      return await readMessages(source.path);
    case "stdin":
      return text(await readStdin(), "The prompt on standard input");
  }
}

async function readFile(path: string): Promise<Uint8Array> {
  try {
    const { isDirectory, size } = await Deno.stat(path);
    // Windows would say that permission was denied.
    if (isDirectory) throw new Deno.errors.IsADirectory(path);
    if (size > MAX_BYTES) throw tooLong(path);
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof DittoError) throw error;
    throw new DittoError(`Cannot read ${path}: ${describeFileError(error)}.`, { cause: error });
  }
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of Deno.stdin.readable) {
    length += chunk.length;
    if (length > MAX_BYTES) throw tooLong("The prompt on standard input");
    chunks.push(chunk);
  }
  return await new Blob(chunks).bytes();
}

function tooLong(what: string): DittoError {
  return new DittoError(
    `${what} has more than ${MAX_BYTES >> 20} MiB, which no context holds: give a part of it.`,
  );
}

function text(bytes: Uint8Array, what: string): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const isUtf16 = bytes[0]! + bytes[1]! === 0xff + 0xfe; // its mark, in either order
    throw new DittoError(
      `${what} is not UTF-8: what begins at byte ${firstInvalid(bytes)} is no character. Convert ` +
        `it, for example with iconv -f ${isUtf16 ? "utf-16" : "latin1"} -t utf-8.`,
    );
  }
  if (text !== "") return text;
  throw new DittoError(`${what} is empty: give at least one character.`);
}

/** Offset of the first byte that is not part of a whole character. */
function firstInvalid(bytes: Uint8Array): number {
  /** Whether the first bytes are a text, or with `stream` perhaps the beginning of one. */
  const isValid = (length: number, stream: boolean) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream });
      return true;
    } catch {
      return false;
    }
  };
  let valid = 0;
  let invalid = bytes.length + 1;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    if (isValid(middle, true)) valid = middle;
    else invalid = middle;
  }
  while (!isValid(valid, false)) valid--; // a character that is cut off begins up to three bytes earlier
  return valid;
}

async function readMessages(path: string): Promise<Message[]> {
  const what = 'messages, such as [{"role": "user", "content": "Say it again."}]';
  const messages = await readArray(path, what, isMessage);
  if (messages.length > 0) return messages;
  throw new DittoError(`${path} holds an empty array: it must hold a JSON array of ${what}.`);
}

/** Reads a file that holds a JSON array. */
async function readArray<Item>(
  path: string,
  what: string,
  isItem: (value: unknown) => value is Item,
): Promise<Item[]> {
  const wanted = `it must hold a JSON array of ${what}`;
  const json = text(await readFile(path), `The file ${path}`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new DittoError(`${path} is not JSON (${(cause as Error).message}): ${wanted}.`, {
      cause,
    });
  }
  if (Array.isArray(value) && value.every(isItem)) return value;
  const found = Array.isArray(value)
    ? `an array with ${kindOf(value.find((item) => !isItem(item)))}`
    : kindOf(value);
  throw new DittoError(`${path} holds ${found}: ${wanted}.`);
}

/** Whether the library takes it for a message; it looks at the role and the content itself. */
function isMessage(value: unknown): value is Message {
  return typeof value === "object";
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
