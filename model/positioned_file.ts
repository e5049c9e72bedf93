import { DittoError } from "./errors.ts";

/**
 * A file that is read at given positions. Deno's files have one cursor, so a seek and its read must
 * not be torn apart by another's: reads wait for their turn.
 */
export class PositionedFile implements Disposable {
  /** The path it was opened by, for messages. */
  readonly path: string;
  /** Its length in bytes when it was opened. */
  readonly size: number;
  readonly #file: Deno.FsFile;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(path: string, size: number, file: Deno.FsFile) {
    this.path = path;
    this.size = size;
    this.#file = file;
  }

  /**
   * Opens a file.
   *
   * @throws {DittoError} If it cannot be opened or is no regular file.
   */
  static async open(path: string): Promise<PositionedFile> {
    try {
      // Asked before opening: opening a pipe would wait for someone to write into it.
      const { isFile, size } = await Deno.stat(path);
      if (!isFile) throw new DittoError(`${path} is not a regular file.`);
      return new PositionedFile(path, size, await Deno.open(path));
    } catch (cause) {
      if (cause instanceof DittoError) throw cause;
      throw new DittoError(`Cannot open ${path}: ${(cause as Error).message}.`, { cause });
    }
  }

  /**
   * Fills `into` with the bytes from `position` on.
   *
   * @param position First byte, from the start of the file.
   * @throws {DittoError} If the file ends before, was closed, or cannot be read.
   */
  read(position: number, into: Uint8Array): Promise<void> {
    const read = this.#turn.then(() => this.#fill(position, into));
    this.#turn = read.catch(() => {}); // one caller's failure is not the next one's
    return read;
  }

  async #fill(position: number, into: Uint8Array): Promise<void> {
    let filled = 0;
    try {
      await this.#file.seek(position, Deno.SeekMode.Start);
      while (filled < into.length) {
        const count = await this.#file.read(into.subarray(filled));
        if (count === null) break;
        filled += count;
      }
    } catch (cause) {
      throw new DittoError(`Cannot read ${this.path}: ${(cause as Error).message}.`, { cause });
    }
    if (filled < into.length) {
      throw new DittoError(
        `${this.path} ended at byte ${position + filled} while bytes up to ` +
          `${position + into.length} were read; it had ${this.size} when it was opened.`,
      );
    }
  }

  /** Closes the file. Reads that are still waiting fail. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}
