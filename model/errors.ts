/**
 * A failure the user can understand and act on: a file that lies, a field that is not supported, a
 * device that is too small. Its message is a whole sentence that names the thing, says what was
 * found and what to do. Anything else that is thrown is a bug in Ditto.
 */
export class DittoError extends Error {
  override name = "DittoError";
}

/**
 * A value from a file, as it should appear in an error message: JSON, cut to 80 characters, so that
 * neither control characters nor a megabyte of junk reach the terminal.
 */
export function show(value: unknown): string {
  let text: string;
  try {
    text = typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);
  } catch {
    text = `a ${typeof value}`; // nested too deep to print; an error must not throw another
  }
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}
