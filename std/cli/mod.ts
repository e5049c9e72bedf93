/**
 * A stand-in for the parts of `jsr:@std/cli` that Ditto uses, for networks that cannot reach jsr.
 *
 * `links` in `deno.json` puts it in the place of the real package; without `links` the same imports
 * resolve to jsr.
 *
 * @module
 */

export * from "./parse_args.ts";
