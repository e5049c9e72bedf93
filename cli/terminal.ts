/**
 * Standard output as a person or a program reads it: in colour or not, and perhaps closed early.
 *
 * @module
 */

import { DittoError } from "../mod.ts";
import { describeFileError } from "./file_error.ts";

/** Colours that are legible on dark and light backgrounds, neighbours easy to tell apart. */
const PALETTE = [36, 33, 35, 32, 34, 31];

/** Paints the text of a pass: all tokens of a pass in one colour, those of the next in another. */
export function paint(text: string, pass: number): string {
  if (text === "") return "";
  const code = PALETTE[pass % PALETTE.length]!;
  // A terminal may fill the rest of a line with the current colour, so none is on at a line's end.
  return text.replace(/[^\n]+/g, (line) => `\x1b[${code}m${line}\x1b[0m`);
}

/** Control characters, which would command the terminal, as the pictures that Unicode has of them. */
export function tame(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

/** Whoever read standard output went away. */
export class OutputClosed extends Error {}

/**
 * Writes all of a text to standard output.
 *
 * @throws {OutputClosed} If nobody reads it any more, as after `| head -1`.
 * @throws {DittoError} If it cannot be written for another reason, such as a full disk.
 */
export async function print(text: string): Promise<void> {
  try {
    await write(Deno.stdout, text);
  } catch (cause) {
    if (cause instanceof OutputClosed) throw cause;
    throw new DittoError(
      `Standard output cannot be written: ${describeFileError(cause)}.`,
      { cause },
    );
  }
}

/** Makes what prints as long as somebody reads standard output, and then does nothing. */
export function printUntilClosed(): typeof print {
  let isClosed = false;
  return async (text) => {
    if (isClosed) return;
    try {
      await print(text);
    } catch (error) {
      if (!(error instanceof OutputClosed)) throw error;
      isClosed = true;
    }
  };
}

/** Writes a text to standard error; if nobody reads it or it cannot be written, it is lost: that is no failure. */
export async function tell(text: string): Promise<void> {
  await write(Deno.stderr, text).catch(() => {});
}

async function write(to: { write(bytes: Uint8Array): Promise<number> }, text: string) {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(await to.write(bytes));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed();
    throw error;
  }
}
