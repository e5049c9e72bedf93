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

  /** Stops listening. */
  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGINT", this.#listener);
  }
}
