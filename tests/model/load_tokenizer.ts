/**
 * Tokenizers of small files.
 *
 * @module
 */
import { loadTokenizer, requireTokenizer, type Tokenizer } from "../../model/tokenizer.ts";
import { TempDir } from "./tiny_checkpoint.ts";

/** What a model says of its tokenizer. */
export const CONFIG = { vocabSize: 600, bosTokenId: 1 };

/** Loads a tokenizer of these files. */
export async function load(
  files: Record<string, unknown>,
  config = CONFIG,
): Promise<Tokenizer> {
  await using dir = await new TempDir().write(files);
  return requireTokenizer(await loadTokenizer(dir.path, config), dir.path);
}

/** The flags of an added token that asks for nothing. */
export const TOKEN = { lstrip: false, rstrip: false, single_word: false, normalized: false };
