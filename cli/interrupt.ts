/**
 * Ctrl-C, and being asked to end: once to stop cleanly, twice to be killed.
 *
 * @module
 */

/** The signals that are listened to, and the exit codes of a program that one of them has ended, as shells have it. */
const EXIT_CODES = Deno.build.os === "windows" ? { SIGINT: 130 } : { SIGINT: 130, SIGTERM: 143 };

/** Listens for the signals until it is disposed of. */
export class Interrupt implements Disposable {
  #controller = new AbortController();
  #listeners = Object.entries(EXIT_CODES).map(([name, code]) => {
    const listener = () => {
      this.exitCode = code;
      this.#controller.abort();
      this[Symbol.dispose](); // from now on a signal does what it does to any program
    };
    return [name as Deno.Signal, listener] as const;
  });
  /** What the program should exit with: 0 as long as no signal has come. */
  exitCode = 0;

  constructor() {
    for (const [name, listener] of this.#listeners) Deno.addSignalListener(name, listener);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) Deno.removeSignalListener(name, listener);
  }
}
