/**
 * Ends an answer at a stop string, and shows nothing of one before it is certain.
 *
 * @module
 */

/** Watches a text for stop strings as it grows. */
export class StopStrings {
  #stops: readonly string[];
  #held = "";

  /** @param stops Texts that end the answer, none of them empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /**
   * Takes the next part of the text.
   *
   * @returns What may be shown now, and whether a stop string came: then that was the last of it. The stop
   * string itself is not shown. Of several that are complete then, the one that begins first counts.
   */
  push(text: string): { text: string; stopped: boolean } {
    const all = this.#held + text;
    let first = Infinity;
    let held = 0;
    for (const stop of this.#stops) {
      const at = all.indexOf(stop);
      if (at >= 0) first = Math.min(first, at);
      held = Math.max(held, overlap(all, stop));
    }
    if (first < Infinity) {
      this.#held = "";
      return { text: all.slice(0, first), stopped: true };
    }
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), stopped: false };
  }

  /** The text ended without a stop string: what was held back. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}

/** Length of the longest end of `text` with which `stop` begins. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(stop.length - 1, text.length); n > 0; n--) {
    if (text.endsWith(stop.slice(0, n))) return n;
  }
  return 0;
}
