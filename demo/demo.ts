/**
 * Shows prompt lookup at work: answers one question of each task in the terminal, then says what lookup
 * saved.
 *
 *     deno task demo [DIR]
 *
 * DIR is a checkpoint directory with a tokenizer and a chat template; without it this is the model in the
 * box. Exits with 1 if an answer differs from the one without lookup.
 *
 * @module
 */
import { MODEL_IN_THE_BOX } from "../cli/choose_model.ts";
import { quietDrivers, slowDriverNote } from "../cli/devices.ts";
import { msText } from "../cli/figures.ts";
import { loadShowing } from "../cli/progress_bar.ts";
import { OutputClosed, paint, print, tame, tell } from "../cli/terminal.ts";
import { DittoError, type LanguageModel } from "../mod.ts";
import { type Example, EXAMPLES } from "./examples.ts";
import { type Row, table, total } from "./table.ts";

/** The answers are timed so often with lookup and without, in turns; the best time of each counts. */
const RUNS = 3;
/** They are timed again only as long as that ends within so many milliseconds. */
const PATIENCE_MS = 30_000;
const WIDTH = 72;

const isColored = Deno.stdout.isTerminal() && !Deno.noColor;
const dim = (text: string) => isColored ? `\x1b[2m${text}\x1b[0m` : text;
const bold = (text: string) => isColored ? `\x1b[1m${text}\x1b[0m` : text;

/** Runs the demo. Returns its exit code. */
async function main([directory]: readonly string[]): Promise<number> {
  quietDrivers();
  const note = await slowDriverNote();
  if (note) await tell(`${note}\n`);
  using model = await loadShowing(directory ?? MODEL_IN_THE_BOX);
  await print(
    `Ditto on ${model.device.name}, loaded in ${msText(model.loadMs)}.\n` +
      (isColored ? "The tokens of one pass of the model share a colour.\n" : ""),
  );
  const start = performance.now();
  const rows: Row[] = [];
  for (const example of EXAMPLES) {
    await ask(example);
    rows.push(await compare(model, example, true));
  }
  const roundMs = performance.now() - start;
  for (let run = 1; run < RUNS && performance.now() - start + roundMs < PATIENCE_MS; run++) {
    for (const [i, example] of EXAMPLES.entries()) {
      rows[i] = best(rows[i]!, await compare(model, example, false));
    }
  }
  const all = total(rows);
  await print(`\n${table(rows)}\n
Times are from the prompt to the last token, the best of up to ${RUNS} runs. ${
    all.isEqual
      ? "All answers are the same with lookup and without."
      : "AN ANSWER WITH LOOKUP DIFFERS FROM THE ONE WITHOUT: this is a bug in Ditto."
  }\n`);
  return all.isEqual ? 0 : 1;
}

/** Shows a question. */
async function ask({ task, chat }: Example): Promise<void> {
  await print(`\n${bold(`── ${task} ${"─".repeat(WIDTH - task.length - 4)}`)}\n`);
  for (const { role, content } of chat) {
    const mark = role === "user" ? "> " : "  ";
    await print(`${content.split("\n").map((line) => dim(mark + line)).join("\n")}\n`);
  }
  await print("\n");
}

/** Answers a question with lookup, perhaps for all to see, and without. */
async function compare(
  model: LanguageModel,
  { task, chat }: Example,
  isShown: boolean,
): Promise<Row> {
  const options = { cachePrompt: false }; // both times are to be from the prompt on
  const generation = model.generate(chat, options);
  if (isShown) {
    for await (const { text, pass } of generation) {
      const safe = tame(text);
      await print(isColored ? paint(safe, pass) : safe);
    }
    await print("\n");
  }
  const lookup = await generation.result();
  const plain = await model.generate(chat, { ...options, promptLookupNumTokens: 0 }).result();
  const { tokens } = plain;
  return {
    task,
    tokens: tokens.length,
    passes: lookup.passes,
    plainMs: plain.timing.prefillMs + plain.timing.decodeMs,
    lookupMs: lookup.timing.prefillMs + lookup.timing.decodeMs,
    isEqual: tokens.length === lookup.tokens.length &&
      tokens.every((token, i) => token === lookup.tokens[i]),
  };
}

/** Two runs of the same question as one, with the better times. */
function best(a: Row, b: Row): Row {
  return {
    ...a,
    plainMs: Math.min(a.plainMs, b.plainMs),
    lookupMs: Math.min(a.lookupMs, b.lookupMs),
    isEqual: a.isEqual && b.isEqual,
  };
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (error instanceof OutputClosed) Deno.exit(0);
    if (!(error instanceof DittoError)) throw error;
    await tell(`${error.message}\n`);
    Deno.exit(1);
  }
}
