/**
 * Running the scripts of examples/ on the model in the box.
 *
 * @module
 */
import { ROOT } from "./cli/process.ts";

export const MODEL = "demo/ditto-tiny";

/** Runs a script to its end. */
export async function example(name: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", `examples/${name}`, ...args],
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
