import { failWith } from "./failure.ts";

// deno-lint-ignore no-explicit-any
type ErrorConstructor<E> = new (...args: any[]) => E;

/**
 * Asserts that a function throws.
 *
 * @param fn The function to call.
 * @param msg What to add to the message of the error.
 * @returns What it threw.
 * @throws {AssertionError} When it returns.
 */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/**
 * Asserts that a function throws an error of a class.
 *
 * @param fn The function to call.
 * @param ErrorClass The class.
 * @param msgIncludes A string that the error's message must contain.
 * @param msg What to add to the message of the error.
 * @returns The error it threw.
 * @throws {AssertionError} When it returns, or throws anything else.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => JSON.parse("{"), SyntaxError, "JSON");
 * ```
 */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ErrorConstructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  try {
    fn();
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, note);
    return error;
  }
  failWith("Expected function to throw", note);
}

/**
 * Asserts that a function returns a promise that rejects.
 *
 * @param fn The function to call.
 * @param msg What to add to the message of the error.
 * @returns A promise of what it rejected with.
 * @throws {AssertionError} When the promise resolves, or the function throws instead of rejecting.
 */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/**
 * Asserts that a function returns a promise that rejects with an error of a class.
 *
 * @param fn The function to call.
 * @param ErrorClass The class.
 * @param msgIncludes A string that the error's message must contain.
 * @param msg What to add to the message of the error.
 * @returns A promise of the error it rejected with.
 * @throws {AssertionError} When the promise resolves or rejects with anything else, or the function
 * throws instead of rejecting.
 *
 * @example
 * ```ts
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => Promise.reject(new RangeError("Too long.")), RangeError, "long");
 * ```
 */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorConstructor<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorConstructor<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch {
    // Told below, together with a function that returns no promise.
  }
  if (typeof promise?.then !== "function") {
    failWith("Function throws when expected to reject", note);
  }
  try {
    await promise;
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, note);
    return error;
  }
  failWith("Expected function to reject", note);
}

/**
 * Asserts that a value is an error of a class.
 *
 * @param error The value.
 * @param ErrorClass The class (default: any error).
 * @param msgMatches A string that the error's message must contain, or an expression it must match.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When it is not.
 */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) failWith('Expected "error" to be an Error object', msg);
  if (ErrorClass !== undefined && !(error instanceof ErrorClass)) {
    failWith(
      `Expected error to be instance of "${ErrorClass.name}", but was "${error.constructor.name}"`,
      msg,
      `${error.name}: ${error.message}`,
    );
  }
  const matches = msgMatches instanceof RegExp
    ? msgMatches.test(error.message)
    : error.message.includes(msgMatches ?? "");
  if (!matches) {
    const wanted = msgMatches instanceof RegExp ? `${msgMatches}` : JSON.stringify(msgMatches);
    failWith(
      `Expected error message to include ${wanted}, but got ${JSON.stringify(error.message)}`,
      msg,
    );
  }
}
