/**
 * A stand-in for the parts of `jsr:@std/assert` that Ditto uses, for networks that cannot reach jsr.
 *
 * `links` in `deno.json` puts it in the place of the real package; without `links` the same imports
 * resolve to jsr. Signatures and verdicts are those of the real assertions; the wording of a failure
 * may differ.
 *
 * @module
 */

export * from "./assertion_error.ts";
export * from "./conditions.ts";
export * from "./equal.ts";
export * from "./equality.ts";
export * from "./errors.ts";
