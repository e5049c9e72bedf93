/**
 * Which keys and values of the prompt before are still there, so that a prompt which begins alike, such as the next turn
 * of a chat, need not go through the model from its beginning.
 *
 * Only what a prompt's own pass made counts. The answer's keys and values came from decoding passes, whose sums run in
 * another order: were they taken too, an answer would depend on what had been asked before.
 *
 * @module
 */

/** The tokens, from position 0 on, whose keys and values are in the cache as a prompt's pass makes them. */
export class PromptCache {
  #capacity: number;
  #tokens: readonly number[] = [];

  /** `capacity`: positions that the KV cache keeps; later ones take the places of the first. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /**
   * Begins a prompt.
   *
   * @param tokens Those that go through the model.
   * @returns How many of them need not. What the cache holds beyond these is about to be overwritten.
   */
  begin(tokens: readonly number[]): number {
    let count = this.#tokens.findIndex((token, i) => token !== tokens[i]);
    if (count < 0) count = this.#tokens.length;
    this.#tokens = tokens.slice(0, count);
    this.reach(tokens.length);
    return count;
  }

  /** Notes that a prompt has gone through: all of its tokens, or, where it was interrupted, those from its beginning. */
  end(tokens: readonly number[]): void {
    this.#tokens = tokens;
    this.reach(tokens.length);
  }

  /** Notes that the text came to have `length` tokens. */
  reach(length: number): void {
    if (length > this.#capacity) this.#tokens = [];
  }
}
