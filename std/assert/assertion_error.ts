/**
 * The error that a failed assertion throws.
 *
 * @example
 * ```ts
 * import { AssertionError } from "@std/assert";
 *
 * const error = new AssertionError("The answer is not 42.");
 * console.log(error.name); // "AssertionError"
 * ```
 */
export class AssertionError extends Error {
  /** Makes an assertion error with the given message and, as for any error, a `cause`. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}
