import { AssertionError } from "./assertion_error.ts";

/**
 * Throws an {@linkcode AssertionError} whose text ends in what the caller of the assertion had to
 * say, if anything.
 *
 * @param message What failed, without a full stop.
 * @param note The `msg` argument of the assertion.
 * @param details Lines to show below.
 */
export function failWith(message: string, note?: string, details?: string): never {
  throw new AssertionError(
    message + (note ? `: ${note}` : ".") + (details === undefined ? "" : `\n${details}`),
  );
}
