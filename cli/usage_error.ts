/** The command line makes no sense. Its message is a whole sentence that says what would. */
export class UsageError extends Error {
  /** Tells it from other errors where classes are not shared. */
  override name = "UsageError";
}
