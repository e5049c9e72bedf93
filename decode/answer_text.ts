/**
 * An answer's text as its tokens arrive, up to what ends it.
 *
 * @module
 */
import type { StreamDecoder } from "../model/detokenizer.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import { StopStrings } from "./stop_strings.ts";

/** Turns an answer's tokens into its text, and watches for stop strings. */
export class AnswerText {
  /** All that was shown. */
  whole = "";
  /** Whether a stop string came. */
  isStopped = false;
  #isBegun = false;
  #decoder: StreamDecoder | null;
  #stops: StopStrings;
  /** Stop strings that are the name of a special token, which is no part of any text. */
  #stopTokens: ReadonlySet<number>;

  /**
   * Begins an answer.
   *
   * @param tokenizer Without one there is no text.
   * @param before The tokens of the text that the answer goes on with; none where it is a text of its own, which
   * SentencePiece's tokenizers begin without the space of its first word.
   * @param stops Stop strings, none of them empty.
   */
  constructor(tokenizer: Tokenizer | null, before: readonly number[], stops: readonly string[]) {
    this.#decoder = tokenizer?.streamDecoder() ?? null;
    this.#decoder?.push(before);
    this.#stops = new StopStrings(stops);
    const tokens = stops.map((stop) => tokenizer?.specialToken(stop));
    this.#stopTokens = new Set(tokens.filter((token) => token !== undefined));
  }

  /** Takes a pass's tokens. Returns those up to the end of a stop string, and the text that may be shown now. */
  push(tokens: readonly number[]): { kept: readonly number[]; shown: string } {
    this.#isBegun ||= tokens.length > 0;
    let shown = "";
    let kept = tokens;
    for (const [i, token] of tokens.entries()) {
      if (this.#stopTokens.has(token)) {
        shown += this.#rest();
        this.isStopped = true;
      } else {
        const part = this.#stops.push(this.#decoder?.push([token]) ?? "");
        shown += part.text;
        this.isStopped = part.stopped;
      }
      if (this.isStopped) {
        kept = tokens.slice(0, i + 1);
        break;
      }
    }
    this.whole += shown;
    return { kept, shown };
  }

  /**
   * Ends the text. Returns what was held back; the second time, nothing. Nothing, too, before the first token: a character
   * that the text before leaves unfinished is no part of the answer.
   */
  end(): string {
    if (this.isStopped || !this.#isBegun) return "";
    const rest = this.#rest();
    this.whole += rest;
    return rest;
  }

  #rest(): string {
    const part = this.#stops.push(this.#decoder?.flush() ?? "");
    return part.stopped ? part.text : part.text + this.#stops.flush();
  }
}
