/**
 * A failure the user can understand and act on: a file that lies, a field that is not supported, a
 * device that is too small. Its message is a whole sentence that names the thing, says what was
 * found and what to do. Anything else that is thrown is a bug in Ditto, unless the caller made it: the reason of an abort,
 * or an error of a callback.
 */
export class DittoError extends Error {
  /**
   * Tells it from other errors where classes are not shared. What `structuredClone()` and `postMessage()` make of it is a
   * plain `Error`, with the message: who posts it posts the name too.
   */
  override name = "DittoError";
}
