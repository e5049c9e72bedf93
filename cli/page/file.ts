/**
 * The file of a page.
 *
 * @module
 */
import { DittoError } from "../../mod.ts";
import { describeFileError } from "../file_error.ts";

/**
 * A file that is open for a page, so that it is known before an answer is made whether it can be written. One that is
 * made for it does not stay if there is no page.
 */
export class PageFile implements Disposable {
  #path: string;
  #file: Deno.FsFile;
  #isLeftover: boolean;

  /**
   * Opens or makes the file; what it holds stays until the page is written.
   *
   * @throws {DittoError} If that cannot be done.
   */
  constructor(path: string) {
    this.#path = path;
    this.#isLeftover = !exists(path);
    this.#file = this.#or(() => Deno.openSync(path, { write: true, create: true }));
  }

  /**
   * Puts the page into the file, in place of what it held.
   *
   * @throws {DittoError} If that cannot be done.
   */
  write(html: string): void {
    this.#isLeftover = false;
    this.#or(() => {
      if (this.#file.statSync().isFile) this.#file.truncateSync(0); // not a pipe, or /dev/stdout
      const bytes = new TextEncoder().encode(html);
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    });
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
    if (!this.#isLeftover) return;
    try {
      Deno.removeSync(this.#path);
    } catch {
      // Somebody else took it away, or it may not be removed: it is empty.
    }
  }

  #or<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const why = describeFileError(cause, "its directory does not exist");
      throw new DittoError(`Cannot write ${this.#path}: ${why}.`, { cause });
    }
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false; // or it cannot be known, and cannot be opened either
  }
}
