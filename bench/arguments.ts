/**
 * Arguments of the benchmarks' command lines.
 *
 * @module
 */
import { DittoError } from "../kernels/errors.ts";

/**
 * The value of an option that counts something.
 *
 * @returns undefined where it was not given.
 * @throws {DittoError} If it is no whole number above 0.
 */
export function count(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^[1-9]\d*$/.test(value)) return Number(value);
  throw new DittoError(`--${name} is "${value}": it must be a whole number above 0.`);
}

/** Failures of files and directories, whose messages name them. */
const FILE_ERRORS = [
  Deno.errors.NotFound,
  Deno.errors.PermissionDenied,
  Deno.errors.AlreadyExists,
  Deno.errors.IsADirectory,
  Deno.errors.NotADirectory,
];

/** Runs a command line's body; a failure that the user can act on is printed as one sentence, and the exit code is 1. */
export async function runMain(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const isFileError = FILE_ERRORS.some((kind) => error instanceof kind);
    if (!isFileError && !(error instanceof DittoError)) throw error;
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
