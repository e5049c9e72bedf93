/**
 * Which model the command line runs.
 *
 * @module
 */

/** The small model that comes with the repository. */
export const MODEL_IN_THE_BOX = new URL("../demo/ditto-tiny", import.meta.url);

/**
 * The directory to load.
 *
 * @param named What --model says; null for the model in the box.
 * @returns It, its name for people, and a sentence about the choice if it was not the user's.
 */
export function chooseModel(
  named: string | null,
): { directory: string | URL; name: string; note: string | null } {
  if (named !== null) return { directory: named, name: named, note: null };
  const name = "demo/ditto-tiny";
  const note = `No --model was given: this is the model in the box, ${name}.`;
  return { directory: MODEL_IN_THE_BOX, name, note };
}
