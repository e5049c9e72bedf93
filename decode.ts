/**
 * The command line: answers a prompt with a Mistral checkpoint.
 *
 *     deno run -A decode.ts --help
 *
 * @module
 */
import { answer } from "./cli/answer.ts";
import { devicesText, quietDrivers } from "./cli/devices.ts";
import { helpText } from "./cli/option_table.ts";
import { type Options, parseOptions } from "./cli/options.ts";
import { save } from "./cli/save.ts";
import { OutputClosed, print, tell } from "./cli/terminal.ts";
import { UsageError } from "./cli/usage_error.ts";
import deno from "./deno.json" with { type: "json" };
import { DittoError } from "./mod.ts";

/** Does what the options say. Returns the exit code. */
async function run(options: Options): Promise<number> {
  switch (options.action) {
    case "help":
      await print(`${helpText()}\n`);
      return 0;
    case "version":
      await print(`ditto ${deno.version}\n`);
      return 0;
    case "list-devices":
      await print(await devicesText());
      return 0;
    case "decode":
      return options.save ? await save(options, options.save) : await answer(options);
  }
}

/** Runs the command line. Returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    quietDrivers();
    return await run(parseOptions(args));
  } catch (error) {
    if (error instanceof OutputClosed) return 0; // who read the answer has read enough
    if (error instanceof UsageError) {
      await tell(`${error.message}\n`);
      return 2;
    }
    if (error instanceof DittoError) {
      await tell(`${error.message}\n`);
      return 1;
    }
    if (error instanceof Deno.errors.NotCapable) {
      await tell(`Ditto may not do what it has to: ${error.message}. Start it with deno run -A.\n`);
      return 1;
    }
    await tell(`This is a bug in Ditto:\n${error instanceof Error ? error.stack : error}\n`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
