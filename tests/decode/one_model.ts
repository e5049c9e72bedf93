/**
 * A small model for all tests of a file, which frees it: `Deno.test.afterAll(free)`.
 *
 * @module
 */
import { type LanguageModel, loadModel } from "../../mod.ts";

export const DIRECTORY = new URL("../fixtures/tiny-gqa-bf16", import.meta.url);
export const rowCosts: readonly number[] = new Array(32).fill(1); // so that nothing is measured

let loaded: Promise<LanguageModel> | null = null;

/** The model, with a context of 400 tokens. */
export function load(): Promise<LanguageModel> {
  return loaded ??= loadModel(DIRECTORY, { context: 400, rowCosts });
}

/** Frees its memory. */
export async function free(): Promise<void> {
  (await loaded)?.[Symbol.dispose]();
}
