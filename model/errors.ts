export { DittoError } from "../kernels/errors.ts";

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
