/**
 * Scores a drafter on recorded answers, without weights and without a device: how many tokens a pass yields,
 * and what that gains where each further row of a pass costs so much.
 *
 *     deno run -R bench/replay.ts --traces ../shared/traces/mistral-7b-instruct-v0.1.jsonl \
 *       --tokenizer ../shared/tokenizer --row-cost 0.03
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { describeFileError } from "../cli/file_error.ts";
import { UsageError } from "../cli/usage_error.ts";
import { DittoError } from "../kernels/errors.ts";
import { readAnswers, readWords } from "./replay/answers.ts";
import {
  DRAFTERS,
  linearCosts,
  scoreAnswers,
  type ScoredAnswer,
  type TaskFigures,
  taskFigures,
} from "./replay/score.ts";
import type { Simulation } from "./report/read.ts";

const HELP = `Scores a drafter on recorded answers, without weights.

  --traces FILE    recorded answers: JSON lines with "task", "prompt_ids" and "output_ids"
  --tokenizer DIR  with the tokenizer.json of the recording: the tree takes tokens that write the same word for the
                   same (default: only equal ones)
  --drafter NAME   original | tree (default tree)
  --num-draft N    drafts of a pass at most, 0 to 31 (default 31; 10 for the original)
  --row-cost C     a pass of r rows costs 1 + C * (r - 1) passes of one row (default 0)
  --json           print one JSON object
  --out FILE       also write the figures of every answer to FILE, for bench/report.ts
  --help           print this

Tokens per pass, rows per pass and the speed relative to plain decoding, which is a replay: no model runs.`;

/** What the command line asks for. */
interface Options {
  readonly traces: string;
  readonly tokenizer: string | null;
  readonly drafter: "original" | "tree";
  readonly numDraft: number;
  readonly rowCost: number;
  readonly json: boolean;
  readonly out: string | null;
}

/** @throws {UsageError} If the arguments make no sense. */
function parseOptions(args: readonly string[]): Options | "help" {
  const flags = parseArgs([...args], {
    string: ["traces", "tokenizer", "drafter", "num-draft", "row-cost", "out"],
    boolean: ["json", "help"],
    default: { drafter: "tree", "row-cost": "0" },
    unknown: (argument) => {
      throw new UsageError(`There is no option "${argument}". --help lists all options.`);
    },
  });
  if (flags.help) return "help";
  const { traces, drafter } = flags;
  if (!traces) {
    throw new UsageError("--traces FILE is needed: the recorded answers. --help says more.");
  }
  if (drafter !== "original" && drafter !== "tree") {
    throw new UsageError(`--drafter is "${drafter}": it must be original or tree.`);
  }
  const numDraft = flags["num-draft"] ?? (drafter === "tree" ? "31" : "10");
  if (!/^\d+$/.test(numDraft) || Number(numDraft) > 31) {
    throw new UsageError(`--num-draft is "${numDraft}": it must be a whole number from 0 to 31.`);
  }
  const rowCost = flags["row-cost"];
  if (!/^(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(rowCost) || !Number.isFinite(Number(rowCost))) {
    throw new UsageError(`--row-cost is "${rowCost}": it must be a number, 0 or more, as 0.03.`);
  }
  return {
    traces,
    tokenizer: flags.tokenizer ?? null,
    drafter,
    numDraft: Number(numDraft),
    rowCost: Number(rowCost),
    json: flags.json,
    out: flags.out ?? null,
  };
}

/** All figures, as bench/report.ts reads them. */
function simulation(
  { drafter, numDraft, rowCost }: Options,
  tasks: Record<string, TaskFigures>,
  scored: readonly ScoredAnswer[],
): Simulation {
  return {
    kind: "simulation",
    drafter,
    numDraft,
    rowCost,
    tasks,
    answers: scored.filter(({ passes }) => passes > 0)
      .map(({ answer: { task, category }, tokens, passes, cost }) => ({
        task,
        category,
        tokens,
        passes,
        speed: tokens / cost,
      })),
  };
}

async function write(path: string, result: Simulation): Promise<void> {
  const text = JSON.stringify(result).replaceAll('{"task"', '\n{"task"');
  try {
    await Deno.writeTextFile(path, `${text}\n`);
  } catch (error) {
    throw new DittoError(
      `${path} cannot be written: ${describeFileError(error, "its directory does not exist")}.`,
    );
  }
}

function tableText(tasks: Record<string, TaskFigures>): string {
  const head = ["task", "tokens/pass", "mean", "rows/pass", "speed", "mean", "least"];
  const lines = Object.entries(tasks).map(([task, { tokensPerPass, rowsPerPass, speed }]) => [
    task,
    ...[tokensPerPass.total, tokensPerPass.mean, rowsPerPass, speed.total, speed.mean, speed.min]
      .map((figure) => figure.toFixed(2)),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...lines].map((line) => line[i]!.length)));
  return [head, ...lines].map((line) =>
    line.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ")
  ).join("\n");
}

/** Runs the command line. Returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args);
    if (options === "help") {
      console.log(HELP);
      return 0;
    }
    const { drafter, numDraft, rowCost, tokenizer } = options;
    const answers = await readAnswers(options.traces);
    const words = tokenizer === null ? undefined : await readWords(tokenizer, answers);
    const costs = linearCosts(rowCost);
    const scored = scoreAnswers(answers, () => DRAFTERS[drafter](numDraft, costs, words), costs);
    const tasks = taskFigures(scored);
    if (options.out !== null) await write(options.out, simulation(options, tasks, scored));
    console.log(options.json ? JSON.stringify({ tasks }) : tableText(tasks));
    return 0;
  } catch (error) {
    if (!(error instanceof DittoError || error instanceof UsageError)) throw error;
    console.error(error.message);
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
