/**
 * Draws results as one HTML page that needs nothing else: speed-up and tokens per pass of single answers by task
 * and by MT-bench category, engines side by side, what a pass costs by its rows.
 *
 *     deno run -A bench/report.ts > report.html
 *     deno run -A bench/report.ts --out report.html bench/results/nvidia-h200-*.json
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { DittoError } from "../kernels/errors.ts";
import { runMain } from "./arguments.ts";
import { prepareOut } from "./machine.ts";
import { page } from "./report/page.ts";
import { readResults, type ResultFile } from "./report/read.ts";
import { sections } from "./report/sections.ts";

const HELP = `Draws results as one HTML page.

  PATH...        files of results, or directories of them (default bench/results)
  --out FILE     write the page to a file (default: print it)`;

/** The page that shows some results. */
export function report(files: readonly ResultFile[]): string {
  const intro =
    "A dot is an answer; a box holds the middle half of them, its line is the median, the number " +
    "above the mean. “Plain” is the same engine without lookup. Rest the mouse on a dot for its figures.";
  return page("Prompt lookup, measured", intro, sections(files));
}

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: ["out"],
    boolean: ["help"],
    unknown: (name) => {
      if (!name.startsWith("-")) return true;
      throw new DittoError(`Unknown argument "${name}".\n\n${HELP}`);
    },
  });
  if (flags.help) return console.log(HELP);
  if (flags.out !== undefined) await prepareOut(flags.out);
  const paths = flags._.length > 0 ? flags._.map(String) : [`${import.meta.dirname}/results`];
  const html = report(await readResults(paths));
  if (flags.out) await Deno.writeTextFile(flags.out, html);
  else console.log(html);
}

if (import.meta.main) await runMain(main);
