import { difference, inspect } from "./difference.ts";
import { equal } from "./equal.ts";
import { failWith } from "./failure.ts";

/** Anything with a length and elements, but a string. */
export type ArrayLikeArg<T> = ArrayLike<T> & object;

/**
 * Asserts that two values are equal in depth; see {@linkcode equal}.
 *
 * @param actual The value found.
 * @param expected The value it should be.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When they differ, with the lines that do.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([1, 2].concat([3]), [1, 2, 3]);
 * ```
 */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  failWith("Values are not equal", msg, difference(actual, expected));
}

/**
 * Asserts that two values are not equal in depth; see {@linkcode equal}.
 *
 * @param actual The value found.
 * @param expected The value it should not be.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When they are equal.
 */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  failWith(`Expected actual: ${inspect(actual)} not to be: ${inspect(expected)}`, msg);
}

/**
 * Asserts that two values are the same one, as `Object.is` means it.
 *
 * @param actual The value found.
 * @param expected The value it should be.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When they are not the same.
 */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  if (inspect(actual) === inspect(expected)) {
    failWith("Values have the same structure but are not reference-equal", msg, inspect(actual));
  }
  failWith("Values are not strictly equal", msg, difference(actual, expected));
}

/**
 * Asserts that two values are not the same one, as `Object.is` means it.
 *
 * @param actual The value found.
 * @param expected The value it should not be.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When they are the same.
 */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!Object.is(actual, expected)) return;
  failWith('Expected "actual" to not be strictly equal to: ' + inspect(actual), msg);
}

/**
 * Asserts that two numbers are at most a tolerance apart.
 *
 * @param actual The number found.
 * @param expected The number it should be near.
 * @param tolerance The largest distance allowed (default: 1e-7 of the expected number).
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When they are further apart, or one of them is `NaN`.
 *
 * @example
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 *
 * assertAlmostEquals(0.1 + 0.2, 0.3);
 * assertAlmostEquals(0.52, 0.5, 0.1);
 * ```
 */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const delta = Math.abs(expected - actual);
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (delta <= allowed) return;
  const text = (value: number) => Number.isInteger(value) ? `${value}` : value.toExponential();
  failWith(
    `Expected actual: "${text(actual)}" to be close to "${text(expected)}": ` +
      `delta "${text(delta)}" is greater than "${text(allowed)}"`,
    msg,
  );
}

/**
 * Asserts that an array has an equal of each of some elements; see {@linkcode equal}.
 *
 * @param actual The array to search in.
 * @param expected The elements to find, in any order.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When one is missing.
 */
export function assertArrayIncludes<T>(
  actual: ArrayLikeArg<T>,
  expected: ArrayLikeArg<T>,
  msg?: string,
): void {
  const present = Array.from(actual);
  const missing = Array.from(expected).filter((element) =>
    !present.some((candidate) => equal(candidate, element))
  );
  if (missing.length === 0) return;
  failWith(
    `Expected actual: "${inspect(actual)}" to include: "${inspect(expected)}"`,
    msg,
    `missing: ${inspect(missing)}`,
  );
}
