/**
 * Fields of a `config.json`, checked one at a time.
 *
 * @module
 */
import { DittoError, show } from "./errors.ts";
import type { JsonObject } from "./json.ts";

/** The largest size of one dimension, and of a context; keeps every byte count an exact double. */
export const MAX_DIMENSION = 2 ** 24;
/** Within these, f32 holds numbers without loss of digits, and so do kernels. */
export const [LEAST, MOST] = [1e-30, 1e30];

/**
 * A field that is a whole number from `min` (default 1) to `max` (default any).
 *
 * @param absent What it is where the field is absent or null.
 * @throws {DittoError} If it is anything else.
 */
export function integer(
  json: JsonObject,
  field: string,
  absent: number,
  { min = 1, max = Number.MAX_SAFE_INTEGER } = {},
): number {
  const value = json[field] ?? absent;
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number;
  }
  const origin = json[field] == null ? " (computed, because the field is absent)" : "";
  throw new DittoError(
    `config.json has ${field} ${
      show(value)
    }${origin} and must have a whole number from ${min} to ${max}.`,
  );
}

/**
 * A field that is a number from `min` to `max`.
 *
 * @param absent What it is where the field is absent or null.
 * @throws {DittoError} If it is anything else.
 */
export function number(
  json: JsonObject,
  field: string,
  absent: number | undefined,
  min: number,
  max: number,
): number {
  const value = json[field] ?? absent;
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw new DittoError(
    `config.json has ${field} ${show(value)} and must have a number from ${min} to ${max}.`,
  );
}

/**
 * A field that is true or false.
 *
 * @param absent What it is where the field is absent or null.
 * @throws {DittoError} If it is anything else.
 */
export function boolean(json: JsonObject, field: string, absent: boolean): boolean {
  const value = json[field] ?? absent;
  if (typeof value === "boolean") return value;
  throw new DittoError(`config.json has ${field} ${show(value)} and must have true or false.`);
}
