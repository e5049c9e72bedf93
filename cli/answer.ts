/**
 * Loads a model, answers a prompt and prints the answer as it comes.
 *
 * @module
 */
import {
  type GenerationResult,
  type LanguageModel,
  listDevices,
  loadModel,
  type Message,
  type Piece,
  type Prompt,
} from "../mod.ts";
import { chooseModel } from "./choose_model.ts";
import { slowDriverNote } from "./devices.ts";
import { jsonReport, summary } from "./figures.ts";
import { Interrupt } from "./interrupt.ts";
import { MAX_DRAFTS } from "./option_table.ts";
import type { Options } from "./options.ts";
import { PageFile } from "./page/file.ts";
import { pageHtml } from "./page/page.ts";
import { loadShowing } from "./progress_bar.ts";
import { readPrompt } from "./prompt.ts";
import { paint, print, printUntilClosed, tame, tell } from "./terminal.ts";

/** Does what the command line asks for. Returns the exit code. */
export async function answer(options: Options): Promise<number> {
  const { quiet, json } = options;
  const note = async (text: string | null) => {
    if (text !== null && !quiet) await tell(`${text}\n`);
  };
  const { directory, name, note: choice } = chooseModel(options.model);
  await note(choice);
  await note(await slowDriverNote());
  for (const each of options.notes) await note(each);
  if (options.prompt.kind === "stdin" && Deno.stdin.isTerminal()) {
    await note("Type the prompt and end it with Ctrl-D.");
  }
  const read = await readPrompt(options.prompt);
  const isChat = options.chat && typeof read === "string";
  const prompt: Prompt = isChat ? chat(options.system, read) : read;
  using page = options.html === null ? null : new PageFile(options.html);

  using interrupt = new Interrupt();
  using model = await loadOrNull(directory, prompt, options, interrupt.signal);
  if (model === null) {
    await reportNothing(options);
    return interrupt.exitCode;
  }
  await note(longContextNote(model));
  await note(fewDraftsNote(model));
  const generation = model.generate(prompt, { ...options.generate, signal: interrupt.signal });
  const decorate = decorator(options.color);
  // Who reads standard output may go away: that ends the answer, but not one that a page is made of.
  const show = page === null ? print : printUntilClosed();
  const pieces: Piece[] = [];
  let last = "\n";
  try {
    for await (const piece of generation) {
      pieces.push(piece);
      const shown = model.hasTokenizer ? piece.text : idsText(piece.tokens).join("");
      if (json || shown === "") continue;
      await show(decorate(shown, piece.pass));
      last = shown.at(-1)!;
    }
  } finally {
    if (last !== "\n") await show("\n"); // also before the sentence of an error
  }
  const result = await generation.result();
  if (json) await show(`${jsonReport(result, model.loadMs, model.device.name)}\n`);
  await note(summary(result));
  if (page !== null) {
    const ids = isTokens(prompt) ? prompt : model.tokenize(prompt);
    const tokens = [...ids, ...result.tokens];
    const texts = model.hasTokenizer ? model.tokenTexts(tokens) : idsText(tokens);
    const isLookup = options.generate.promptLookupNumTokens !== 0;
    const device = model.device.name;
    page.write(pageHtml({ texts, pieces, result, isLookup, model: name, device }));
    await note(`The page is in ${options.html}.`);
  }
  return result.stopReason === "aborted" ? interrupt.exitCode : 0;
}

/** What to know of a context beyond the positions that a model was trained for. */
function longContextNote({ context, config: { maxPositionEmbeddings } }: LanguageModel) {
  if (context <= maxPositionEmbeddings) return null;
  return `A context of ${context} tokens is more than the model was made for ` +
    `(max_position_embeddings is ${maxPositionEmbeddings}): answers may get worse beyond that.`;
}

/** What to know of a device on which passes of many rows were not seen to give each row the bits that it has alone. */
function fewDraftsNote({ maxDrafts, device }: LanguageModel): string | null {
  if (maxDrafts === MAX_DRAFTS) return null;
  const bound = maxDrafts === 0
    ? "lookup is off"
    : `lookup drafts ${maxDrafts} tokens a pass at most`;
  const rows = maxDrafts + 1;
  return `On ${device.name} passes of more than ${rows} tokens were not seen to give each the numbers that it has ` +
    `alone: its driver's compiler may be to blame, or it is too slow to try. So that answers stay the same to the ` +
    `bit, ${bound}.`;
}

/** Token ids as they are shown where there is no tokenizer. */
function idsText(tokens: readonly number[]): string[] {
  return tokens.map((token) => `${token} `);
}

/** Loads the model; null if that is interrupted. */
async function loadOrNull(
  directory: string | URL,
  prompt: Prompt,
  { quiet, load, generate: { maxNewTokens } }: Options,
  signal: AbortSignal,
): Promise<LanguageModel | null> {
  const options = { ...load, prompt, signal, ...(maxNewTokens !== undefined && { maxNewTokens }) };
  try {
    return await (quiet ? loadModel : loadShowing)(directory, options);
  } catch (error) {
    if (error !== signal.reason) throw error;
    return null;
  }
}

function chat(system: string | null, user: string): Message[] {
  const turns = system === null ? [] : [{ role: "system", content: system }];
  return [...turns, { role: "user", content: user }];
}

function isTokens(prompt: Prompt): prompt is readonly number[] {
  return typeof prompt[0] === "number";
}

/** How the text of a pass is shown: in its colour, and harmless, where it is a terminal. */
function decorator(color: boolean | null): (text: string, pass: number) => string {
  const isTerminal = Deno.stdout.isTerminal();
  const isColored = color ?? (isTerminal && !Deno.noColor);
  return (text, pass) => {
    const safe = isTerminal ? tame(text) : text;
    return isColored ? paint(safe, pass) : safe;
  };
}

/** The interrupt came before the model was there. */
async function reportNothing({ json, quiet, load }: Options): Promise<void> {
  const result: GenerationResult = {
    promptTokens: 0,
    cachedPromptTokens: 0,
    tokens: [],
    text: "",
    passes: 0,
    drafted: 0,
    accepted: 0,
    stopReason: "aborted",
    timing: { prefillMs: 0, decodeMs: 0 },
    tokensPerPass: 0,
    tokensPerSecond: 0,
  };
  const [device] = await listDevices(load.device?.name);
  if (json) await print(`${jsonReport(result, 0, device?.name ?? "")}\n`);
  if (!quiet) await tell("Interrupted while the model was loading.\n");
}
