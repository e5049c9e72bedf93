/**
 * Running the scripts of examples/ on the model in the box.
 *
 * @module
 */
import { type Finished, runScript } from "./cli/process.ts";

export const MODEL = "demo/ditto-tiny";

/** Runs a script to its end. */
export function example(name: string, ...args: string[]): Promise<Finished> {
  return runScript(`examples/${name}`, ...args);
}
