/**
 * Ctrl-C: once to stop cleanly, twice to kill.
 *
 * @module
 */

/** Listens for Ctrl-C until it is disposed of. */
export class Interrupt implements Disposable {
  #controller = new AbortController();
  #listener = () => {
    this.#controller.abort();
    this[Symbol.dispose](); // from now on Ctrl-C does what it does to any program
  };

  constructor() {
    Deno.addSignalListener("SIGINT", this.#listener);
  }

  /** Aborted by the first Ctrl-C. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Waits for `work`. Returns null if Ctrl-C comes first; the work is then left to itself. */
  async orNull<T>(work: Promise<T>): Promise<T | null> {
    const aborted = Promise.withResolvers<null>();
    const listener = () => aborted.resolve(null);
    this.signal.addEventListener("abort", listener);
    if (this.signal.aborted) listener();
    try {
      return await Promise.race([work, aborted.promise]);
    } finally {
      this.signal.removeEventListener("abort", listener);
    }
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGINT", this.#listener);
  }
}
