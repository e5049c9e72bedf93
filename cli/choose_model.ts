/**
 * Which model the command line runs.
 *
 * @module
 */
import { UsageError } from "./usage_error.ts";

/** The small model that comes with the repository. */
export const MODEL_IN_THE_BOX = new URL("../demo/ditto-tiny", import.meta.url);

/** Whether the model in the box is there: a checkout may be without it. */
export async function hasModelInTheBox(): Promise<boolean> {
  try {
    return (await Deno.stat(new URL(`${MODEL_IN_THE_BOX}/model.safetensors`))).isFile;
  } catch {
    return false;
  }
}

/**
 * The directory to load.
 *
 * @param named What --model says.
 * @returns It, its name for people, and a sentence about the choice if it was not the user's.
 * @throws {UsageError} If none is named and there is none in the box.
 */
export async function chooseModel(
  named: string | null,
): Promise<{ directory: string | URL; name: string; note: string | null }> {
  if (named !== null) return { directory: named, name: named, note: null };
  if (await hasModelInTheBox()) {
    const name = "demo/ditto-tiny";
    const note = `No --model was given: this is the model in the box, ${name}.`;
    return { directory: MODEL_IN_THE_BOX, name, note };
  }
  throw new UsageError(
    "No --model was given, and there is no model in the box (demo/ditto-tiny/model.safetensors). Give " +
      "a Hugging Face checkpoint directory: --model DIR.",
  );
}
