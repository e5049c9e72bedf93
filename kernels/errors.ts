/**
 * What a program can do about a failure:
 *
 * - `"input"`: an option or the prompt is wrong, or not to be had of this model or device; ask otherwise. A server answers 400.
 * - `"busy"`: the model is in the middle of another generation; wait for its end. A server lets requests wait, or answers 503.
 * - `"memory"`: there is not enough memory; ask for less. A model that was loaded before lives on.
 * - `"device"`: there is no device, or it was lost or failed; load the model again.
 * - `"other"`: anything else, such as a checkpoint that is damaged or not supported.
 */
export type DittoErrorCode = "input" | "busy" | "memory" | "device" | "other";

/**
 * A failure the user can understand and act on: a file that lies, a field that is not supported, a
 * device that is too small. Its message is a whole sentence that names the thing, says what was
 * found and what to do. Anything else that is thrown is a bug in Ditto, unless the caller made it: the reason of an abort,
 * or an error of a callback.
 */
export class DittoError extends Error {
  /**
   * Tells it from other errors where classes are not shared. What `structuredClone()` and `postMessage()` make of it is a
   * plain `Error`, with the message: who posts it posts name and code too.
   */
  override name = "DittoError";
  /** What kind of failure it is, for programs; the message is for people. */
  readonly code: DittoErrorCode;

  /**
   * A failure.
   *
   * @param options Its `cause`, and its `code`, by default `"other"`.
   */
  constructor(message: string, options: ErrorOptions & { readonly code?: DittoErrorCode } = {}) {
    super(message, options);
    this.code = options.code ?? "other";
  }
}
