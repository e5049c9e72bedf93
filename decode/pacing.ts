/**
 * How many steps a submission has.
 *
 * @module
 */

/** Steps of one submission at most. */
export const MAX_BATCH = 16;
/** A submission should not take longer than this, so that slow devices stream too. In milliseconds. */
const MAX_BATCH_MS = 100;
/** How long results are on their way in Deno at worst: the first submissions should not be over much earlier. In milliseconds. */
const READ_BACK_MS = 10;

/** Keeps the steps of one generation in step with what is known of it. */
export class Pacing {
  /** Steps submitted. */
  submitted = 0;
  /** Steps whose results are known; those after the last token do not count. */
  read = 0;
  /** Tokens that these made. */
  made = 0;
  #maxNewTokens: number;
  #maxBatch: number;
  #batch: number;
  #begun = 0;
  #ranMs = Infinity; // of a step, as far as is known

  /**
   * Nothing is submitted yet.
   *
   * @param maxNewTokens Tokens that the generation makes at most.
   * @param maxBatch Steps of one submission at most.
   * @param stepMs What a step took in the generation before; Infinity if it is not known.
   */
  constructor(maxNewTokens: number, maxBatch: number, stepMs: number) {
    this.#maxNewTokens = maxNewTokens;
    this.#maxBatch = maxBatch;
    this.#batch = this.#bounded(READ_BACK_MS / stepMs);
  }

  #bounded(batch: number): number {
    return Math.max(1, Math.min(Math.floor(batch), this.#maxBatch));
  }

  /** The first step begins now. */
  begin(): void {
    this.#begun = performance.now();
  }

  /**
   * Steps that the next submission should have. None once enough are under way: steps after the last token do nothing,
   * but their dispatches take time all the same.
   */
  next(): number {
    const { submitted, read, made } = this;
    const rate = Math.max(1, made / read || 1);
    const needed = Math.ceil((this.#maxNewTokens - made) / rate);
    const missing = Math.min(needed - (submitted - read), this.#maxNewTokens - submitted);
    // At least one where all that was submitted has been read.
    return Math.max(submitted === read ? 1 : 0, Math.min(this.#batch, missing));
  }

  /**
   * A submission is over.
   *
   * @param steps How many it had.
   * @param ms Milliseconds that have passed since it was submitted.
   * @param waitedMs How many of them it was waited for; if hardly any, it may have been over long before: then its steps
   * took no longer than those before, as far as is known.
   */
  ran(steps: number, ms: number, waitedMs: number): void {
    this.#ranMs = Math.min(ms / steps, waitedMs > 1 ? Infinity : this.#ranMs);
  }

  /** Whether a submission of so many steps is over before the results of the one before it can be there. */
  isShort(steps: number): boolean {
    return steps * this.#ranMs < READ_BACK_MS;
  }

  /** The results of a submission have been read: with `read` and `made` the next ones can have more steps. */
  grow(): void {
    this.#batch = this.#bounded(Math.min(2 * this.#batch, MAX_BATCH_MS / this.stepMs));
  }

  /** Milliseconds a step so far, the time included that results were on their way. */
  get stepMs(): number {
    return (performance.now() - this.#begun) / Math.max(1, this.read);
  }
}
