import { DittoError, show } from "./errors.ts";
import { isObject } from "./json.ts";
import { flatten } from "./pre_tokenizer.ts";

/**
 * What a token adds to the text: text that is complete in itself, or bytes of UTF-8 that may end in
 * the middle of a character.
 */
export type TokenText = string | Uint8Array<ArrayBuffer>;

/**
 * How a tokenizer turns tokens into text: each into a {@linkcode TokenText} of its own, all joined, and
 * the first few characters dropped. So text can be put together token by token, exactly.
 */
export interface Detokenizer {
  /**
   * What a token adds to the text.
   *
   * @param token The token as the vocabulary writes it.
   * @param added True for a token of `added_tokens`, which stands for its own name.
   */
  piece(token: string, added: boolean): TokenText;
  /** What is dropped from the start of the text. */
  readonly leadCharacter: string;
  /** How many of it are dropped at most. */
  readonly leadCount: number;
}

/**
 * Builds text from tokens as they arrive. What `push` returned so far, and `flush` at the end, make
 * the text that decoding all tokens at once gives. Each token costs constant time.
 */
export class StreamDecoder {
  readonly #pieceOf: (id: number) => TokenText | null;
  readonly #leadCharacter: string;
  #leadCount: number;
  /** Holds back the bytes of a character until it is complete. */
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  /**
   * Begins a text.
   *
   * @param pieceOf What a token adds; null for one that is skipped.
   * @param detokenizer Says what to drop from the start.
   */
  constructor(
    pieceOf: (id: number) => TokenText | null,
    { leadCharacter, leadCount }: Pick<Detokenizer, "leadCharacter" | "leadCount">,
  ) {
    this.#pieceOf = pieceOf;
    this.#leadCharacter = leadCharacter;
    this.#leadCount = leadCount;
  }

  /**
   * Takes the next tokens.
   *
   * @returns The text that is now certain, possibly empty.
   */
  push(ids: Iterable<number>): string {
    let text = "";
    for (const id of ids) {
      const piece = this.#pieceOf(id);
      if (piece === null) continue;
      text += typeof piece === "string"
        ? this.#utf8.decode() + piece
        : this.#utf8.decode(piece, { stream: true });
    }
    return this.#dropLead(text);
  }

  /** Ends the text: an incomplete character becomes U+FFFD. The decoder can then begin another tail. */
  flush(): string {
    return this.#dropLead(this.#utf8.decode());
  }

  #dropLead(text: string): string {
    let start = 0;
    while (this.#leadCount > 0 && start < text.length) {
      if (text[start] === this.#leadCharacter) start++, this.#leadCount--;
      else this.#leadCount = 0;
    }
    return text.slice(start);
  }
}

/**
 * Reads the `decoder` of a `tokenizer.json`. Supported are those of the Mistral and Llama families,
 * SentencePiece's (Replace, ByteFallback, Fuse, Strip; or Metaspace) and ByteLevel, and none at all.
 *
 * @throws {DittoError} If it is of another kind.
 */
export function parseDetokenizer(decoder: unknown): Detokenizer {
  if (decoder == null) { // tokens separated by spaces
    return { piece: (token) => ` ${token}`, leadCharacter: " ", leadCount: 1 };
  }
  const steps: ((piece: TokenText, added: boolean) => TokenText)[] = [];
  let leadCharacter = " ";
  let leadCount = 0;
  let fused = false;
  for (const step of flatten(decoder, "decoders")) {
    const bad = () =>
      new DittoError(
        `tokenizer.json has a decoder ${show(step)}${
          fused ? " after Fuse" : ""
        }, which Ditto does ` +
          `not support.`,
      );
    if (!isObject(step)) throw bad();
    if (step.type === "Fuse") {
      fused = true;
    } else if (step.type === "Strip") {
      const { content, start, stop } = step;
      if (!fused || typeof content !== "string" || content.length !== 1 || stop !== 0) throw bad();
      if (!Number.isSafeInteger(start) || (start as number) < 0 || leadCount > 0) throw bad();
      leadCharacter = content;
      leadCount = start as number;
    } else if (fused) {
      throw bad();
    } else if (step.type === "Replace") {
      const from = isObject(step.pattern) ? step.pattern.String : undefined;
      const to = step.content;
      if (typeof from !== "string" || from === "" || typeof to !== "string") throw bad();
      steps.push((piece) => typeof piece === "string" ? piece.replaceAll(from, () => to) : piece);
    } else if (step.type === "ByteFallback") {
      steps.push(byteFallback);
    } else if (step.type === "ByteLevel") {
      steps.push(byteLevel);
    } else if (step.type === "Metaspace") {
      const space = typeof step.replacement === "string" ? step.replacement : "▁";
      steps.push((piece) => typeof piece === "string" ? piece.replaceAll(space, " ") : piece);
      leadCount = step.prepend_scheme === "never" ? 0 : 1;
    } else {
      throw bad();
    }
  }
  const piece = (token: string, added: boolean) =>
    steps.reduce((piece: TokenText, step) => step(piece, added), token);
  return { piece, leadCharacter, leadCount };
}

/** SentencePiece writes a byte that no piece covers as `<0x0A>`. */
function byteFallback(piece: TokenText): TokenText {
  return typeof piece === "string" && /^<0x[0-9A-Fa-f]{2}>$/.test(piece)
    ? Uint8Array.of(parseInt(piece.slice(3, 5), 16))
    : piece;
}

/** GPT-2 writes every byte as a printable character. */
function byteLevel(piece: TokenText, added: boolean): TokenText {
  if (added || typeof piece !== "string") return piece;
  const bytes: number[] = [];
  for (const character of piece) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return new TextEncoder().encode(piece);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** What ByteLevel writes for each byte: printable Latin-1 is itself; the others, in order, are characters from U+0100. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = /[!-~¡-¬®-ÿ]/.test(String.fromCharCode(byte));
    return String.fromCharCode(printable ? byte : next++);
  });
})();

const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  BYTE_CHARACTERS.map((character, byte) => [character, byte]),
);
