/**
 * Encodes with `@huggingface/tokenizers` as Hugging Face's library in Rust does. What pre-tokenizers do otherwise is mended in
 * pre_tokenizer.ts.
 *
 * @module
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { type AddedToken, isNormalized } from "./added_tokens.ts";
import type { JsonObject } from "./json.ts";

/** A tokenizer of the library, and what encodes with it. */
export interface Encoder {
  /** The library's. */
  readonly tokenizer: Tokenizer;
  /** The ids of a text's tokens; undefined where there is none, not even one for the unknown. */
  encode(text: string, addSpecialTokens: boolean): (number | undefined)[];
}

/**
 * Makes an encoder.
 *
 * @param json A `tokenizer.json`, checked, its pre-tokenizer mended.
 * @param added Its added tokens, those of other files among them.
 * @throws {Error} If the library cannot read it.
 */
export function makeEncoder(json: JsonObject, added: readonly AddedToken[]): Encoder {
  const isFoundLater = (token: AddedToken) => json.normalizer != null && isNormalized(token);
  const strip = stripper(added.filter((token) => !isFoundLater(token)));
  const added_tokens = added.map((token) =>
    isFoundLater(token) ? token : { ...token, lstrip: false, rstrip: false }
  );
  const model: JsonObject = { type: "BPE", ...json.model as JsonObject }; // old files have no type
  // Of tokenizer_config.json the library is told nothing: in Rust all that concerns it is in the one file.
  const settings = { unk_token: model.unk_token };
  const tokenizer = new Tokenizer({ ...json, model, added_tokens }, settings);
  const bytes = tokensOfBytes(model, tokenizer);
  return {
    tokenizer,
    encode: (text, addSpecialTokens) => {
      const options = { add_special_tokens: addSpecialTokens };
      const { ids, tokens } = tokenizer.encode(strip(text), options);
      if (bytes === null) return ids;
      return tokens.flatMap((token, i) =>
        tokenizer.token_to_id(token) === undefined
          ? Array.from(UTF8.encode(token), (byte) => bytes[byte])
          : ids[i]
      );
    },
  };
}

const UTF8 = new TextEncoder();

/**
 * The tokens of the 256 bytes, as which Unigram with `byte_fallback` writes a character without a token. For the library it
 * is an unknown one; with BPE it does so itself. Null for all other models.
 */
function tokensOfBytes(
  { type, byte_fallback }: JsonObject,
  tokenizer: Tokenizer,
): readonly number[] | null {
  if (type !== "Unigram" || byte_fallback !== true) return null;
  const ids = Array.from({ length: 256 }, (_, byte) => {
    const hex = byte.toString(16).toUpperCase().padStart(2, "0");
    return tokenizer.token_to_id(`<0x${hex}>`);
  });
  return ids.every((id) => id !== undefined) ? ids : null;
}

/** White space in Rust; in JavaScript there is a byte-order mark besides, and no U+0085. */
const SPACE = /^\p{White_Space}$/u;

/**
 * Drops the white space that tokens with `lstrip` or `rstrip` take along. `@huggingface/tokenizers` would take it for
 * JavaScript's, and from tokens too.
 *
 * @param tokens Those that are found in a text before it is normalized; of two that begin at one place the longer counts.
 * @returns What a text becomes.
 */
function stripper(tokens: readonly AddedToken[]): (text: string) => string {
  if (!tokens.some(({ lstrip, rstrip }) => lstrip || rstrip)) return (text) => text;
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const longestFirst = [...byContent.keys()].filter(Boolean).sort((a, b) => b.length - a.length);
  const found = new RegExp(`(${longestFirst.map(RegExp.escape).join("|")})`);
  return (text) => {
    const parts = text.split(found); // text and tokens by turns
    return parts.map((part, i) => {
      if (i % 2 === 1) return part;
      let [start, end] = [0, part.length];
      if (byContent.get(parts[i - 1]!)?.rstrip) { while (isSpace(part[start])) start++; }
      if (byContent.get(parts[i + 1]!)?.lstrip) {
        while (end > start && isSpace(part[end - 1])) end--;
      }
      return part.slice(start, end);
    }).join("");
  };
}

function isSpace(character: string | undefined): boolean {
  return character !== undefined && SPACE.test(character);
}
