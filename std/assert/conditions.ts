import { AssertionError } from "./assertion_error.ts";
import { inspect } from "./difference.ts";
import { failWith } from "./failure.ts";

// deno-lint-ignore no-explicit-any
type AnyConstructor = abstract new (...args: any[]) => any;

/**
 * Asserts that a condition is truthy.
 *
 * @param expr The condition.
 * @param msg The message of the error.
 * @throws {AssertionError} When it is falsy.
 */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/**
 * Asserts that a condition is falsy.
 *
 * @param expr The condition.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When it is truthy.
 */
export function assertFalse(expr: unknown, msg?: string): asserts expr is false {
  if (expr) failWith("Expected the value to be falsy", msg);
}

/**
 * Asserts that a value is neither `null` nor `undefined`.
 *
 * @param actual The value.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When it is one of them.
 */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    failWith(`Expected actual: "${actual}" to not be null or undefined`, msg);
  }
}

/**
 * Asserts that a value was made by a class or by one derived from it.
 *
 * @param actual The value.
 * @param expectedType The class.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When it was not.
 */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  const found = typeof actual === "object" && actual !== null
    ? actual.constructor?.name ?? "Object"
    : actual === null
    ? "null"
    : typeof actual;
  failWith(
    `Expected object to be an instance of "${expectedType.name}" but was "${found}"`,
    msg,
  );
}

/**
 * Asserts that a string contains another.
 *
 * @param actual The string to search in.
 * @param expected The string to find.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When it is not there.
 */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    failWith(`Expected actual: "${actual}" to contain: "${expected}"`, msg);
  }
}

/**
 * Asserts that a string matches a regular expression.
 *
 * @param actual The string.
 * @param expected The regular expression.
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} When it does not match.
 */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) {
    failWith(`Expected actual: "${actual}" to match: "${expected}"`, msg);
  }
}

/**
 * Asserts that `actual > expected`.
 *
 * @param actual The value that should be greater.
 * @param expected The value it is compared with.
 * @param msg The message of the error, instead of the usual one.
 * @throws {AssertionError} When it is not greater.
 */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) failComparison(actual, ">", expected, msg);
}

/**
 * Asserts that `actual >= expected`.
 *
 * @param actual The value that should not be less.
 * @param expected The value it is compared with.
 * @param msg The message of the error, instead of the usual one.
 * @throws {AssertionError} When it is less.
 */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) failComparison(actual, ">=", expected, msg);
}

/**
 * Asserts that `actual < expected`.
 *
 * @param actual The value that should be less.
 * @param expected The value it is compared with.
 * @param msg The message of the error, instead of the usual one.
 * @throws {AssertionError} When it is not less.
 */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) failComparison(actual, "<", expected, msg);
}

/**
 * Asserts that `actual <= expected`.
 *
 * @param actual The value that should not be greater.
 * @param expected The value it is compared with.
 * @param msg The message of the error, instead of the usual one.
 * @throws {AssertionError} When it is greater.
 */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) failComparison(actual, "<=", expected, msg);
}

function failComparison(actual: unknown, relation: string, expected: unknown, msg?: string): never {
  throw new AssertionError(msg ?? `Expect ${inspect(actual)} ${relation} ${inspect(expected)}`);
}

/**
 * Fails.
 *
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} Always.
 */
export function fail(msg?: string): never {
  failWith("Failed assertion", msg);
}

/**
 * Marks a place that the program never reaches.
 *
 * @param msg What to add to the message of the error.
 * @throws {AssertionError} Always.
 */
export function unreachable(msg?: string): never {
  failWith("Unreachable", msg);
}
