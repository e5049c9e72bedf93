/** What went wrong with a file, in words: "it does not exist", or its directory if it was to be written. */
export function describeFileError(error: unknown, missing = "it does not exist"): string {
  if (error instanceof Deno.errors.NotFound) return missing;
  if (error instanceof Deno.errors.PermissionDenied) return "permission was denied";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.NotADirectory) return "a part of its path is not a directory";
  return error instanceof Error ? error.message.replace(/\.$/, "") : String(error);
}
