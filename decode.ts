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

async function run(options: Options): Promise<void> {
  switch (options.action) {
    case "help":
      return await print(`${helpText()}\n`);
    case "version":
      return await print(`ditto ${deno.version}\n`);
    case "list-devices":
      return await print(await devicesText());
    case "decode":
      if (options.saveQuantized === null || !options.load.quantize) return await answer(options);
      return await save(options, options.load.quantize, options.saveQuantized);
  }
}

/** Runs the command line. Returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    quietDrivers();
    await run(parseOptions(args));
    return 0;
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
