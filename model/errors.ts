import { DittoError, type DittoErrorCode } from "../kernels/errors.ts";

export { DittoError, type DittoErrorCode };

/** An option or a prompt cannot be taken. */
export function inputError(message: string, options?: ErrorOptions): DittoError {
  return new DittoError(message, { ...options, code: "input" });
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
    // Within itself, or nested too deep to print; an error must not throw another.
    text = typeof value === "object" ? "an object" : `a ${typeof value}`;
  }
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

/** What Git LFS leaves in place of a file begins so. */
export const POINTER = "version https://git-lfs";

/** There is a pointer in place of a file. */
export function pointerError(path: string): DittoError {
  return new DittoError(
    `${path} is, it seems, a pointer of Git LFS and not the file: fetch that with git lfs pull.`,
  );
}
