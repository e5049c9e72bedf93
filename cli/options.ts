/**
 * Reads the command line.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { GenerateOptions, LoadOptions, PromptPrecision, Quantization } from "../mod.ts";
import { isOptionName, OPTION_NAMES, type OptionName, OPTIONS } from "./option_table.ts";
import { UsageError } from "./usage_error.ts";

/** Where the prompt comes from. */
export type PromptSource =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "file" | "ids" | "messages"; readonly path: string }
  | { readonly kind: "stdin" };

/** A copy of a model that is to be written. */
export interface SaveOptions {
  /** In how many bits. */
  readonly quantization: Quantization;
  /** The directory to make. */
  readonly target: string;
}

/** What the command line asks for. */
export interface Options {
  /** What to do. */
  readonly action: "decode" | "help" | "version" | "list-devices";
  /** The copy to write instead of answering. */
  readonly save: SaveOptions | null;
  /** The checkpoint directory, if one was named. */
  readonly model: string | null;
  /** Where the prompt comes from. */
  readonly prompt: PromptSource;
  /** Whether a prompt that is a text is a user's turn of a chat. */
  readonly chat: boolean;
  /** The system's turn before it, if there is one. */
  readonly system: string | null;
  /** How to load the model. */
  readonly load: LoadOptions;
  /** How to generate. */
  readonly generate: GenerateOptions;
  /** Whether to colour; null is on a terminal. */
  readonly color: boolean | null;
  /** Whether to say nothing but the answer. */
  readonly quiet: boolean;
  /** Whether to print a JSON object. */
  readonly json: boolean;
  /** Where to write a page, if it is asked for. */
  readonly html: string | null;
  /** Things that were asked for and will do nothing, as sentences. */
  readonly notes: readonly string[];
}

const SWITCHES = OPTION_NAMES.filter((name) => !OPTIONS[name].value);
const WITH_VALUE = OPTION_NAMES.filter((name) => OPTIONS[name].value);
const LISTS = OPTION_NAMES.filter((name) => OPTIONS[name].isList);

/** The options that give a prompt, and how. */
const PROMPT_KINDS = [
  ["prompt", "text"],
  ["prompt-file", "file"],
  ["prompt-ids", "ids"],
  ["messages", "messages"],
] as const;

/**
 * Reads arguments.
 *
 * @param args As in `Deno.args`.
 * @throws {UsageError} If they make no sense.
 */
export function parseOptions(args: readonly string[]): Options {
  const given = parse(args);
  const action = given.has("help")
    ? "help"
    : given.has("version")
    ? "version"
    : given.has("list-devices")
    ? "list-devices"
    : "decode";
  forbidBoth(given, "color", "no-color");
  if (given.has("no-lookup")) {
    forbidBoth(given, "no-lookup", "drafter", "num-draft", "max-ngram");
  }
  const prompt = promptSource(given);
  if (given.has("chat") && prompt.kind === "ids") {
    throw new UsageError(
      "--chat writes a text with the chat template, and --prompt-ids gives token ids, which are " +
        "taken as they are: leave one of them out.",
    );
  }
  if (given.has("system") && prompt.kind === "messages") {
    throw new UsageError(
      "--messages gives all turns of a chat, and --system another: make that the file's first message.",
    );
  }
  if (given.has("system") && !given.has("chat")) {
    throw new UsageError("--system is a turn of a chat: give --chat too.");
  }
  if (given.has("logits-digest") && !given.has("json")) {
    throw new UsageError("--logits-digest adds to the object that --json prints: give --json too.");
  }
  return {
    action,
    save: saveOptions(given),
    model: given.get("model")?.at(-1) ?? null,
    prompt,
    chat: given.has("chat"),
    system: given.get("system")?.at(-1) ?? null,
    load: loadOptions(given),
    generate: generateOptions(given),
    color: given.has("color") ? true : given.has("no-color") ? false : null,
    quiet: given.has("quiet"),
    json: given.has("json"),
    html: given.get("html")?.at(-1) ?? null,
    notes: notesOn(given),
  };
}

/** The options that were given, with their values; a switch has none. */
type Given = ReadonlyMap<OptionName, readonly string[]>;

function parse(args: readonly string[]): Given {
  for (const arg of args) checkSwitch(arg);
  const flags: Record<string, unknown> = parseArgs([...args], {
    boolean: SWITCHES,
    string: [...WITH_VALUE, "_"],
    collect: LISTS,
    alias: { help: "h" },
    unknown(arg, name) {
      if (name === undefined && arg !== "") throw strayArgument(arg);
      // parseArgs takes `--prompt=` for an option of that name, and `--prompt ""` for two arguments.
      const bare = name?.endsWith("=") ? name.slice(0, -1) : "";
      if (isOptionName(bare)) throw noValue(bare);
      if (name !== undefined) throw unknownOption(arg, args);
    },
  });
  const given = new Map<OptionName, readonly string[]>();
  for (const name of OPTION_NAMES) {
    const value = flags[name];
    const values = Array.isArray(value) ? value : [value];
    if (!OPTIONS[name].value) {
      if (value) given.set(name, []);
    } else if (value !== undefined && values.length > 0) {
      if (values.some((each) => each === "")) throw noValue(name);
      given.set(name, values.map(String));
    }
  }
  const [stray] = flags._ as unknown[];
  if (stray !== undefined) throw strayArgument(String(stray));
  return given;
}

function strayArgument(arg: string): UsageError {
  return new UsageError(
    `The argument ${JSON.stringify(arg)} belongs to no option. Is it the prompt? Then write ` +
      `--prompt before it, and quotes around it.`,
  );
}

function noValue(name: OptionName): UsageError {
  const { value } = OPTIONS[name];
  if (!value) return new UsageError(`--${name} is a switch and takes no value.`);
  return new UsageError(
    `--${name} needs a value, and it is missing or empty. Write --${name} ${value}, or ` +
      `--${name}=${value} if it begins with a hyphen.`,
  );
}

function unknownOption(arg: string, args: readonly string[]): UsageError {
  const before = args[args.findIndex((each) => each.startsWith(arg)) - 1]?.replace(/^--/, "");
  const waiting = WITH_VALUE.find((option) => option === before);
  if (waiting) throw noValue(waiting);
  const name = arg.replace(/=.*$/s, "");
  const bare = name.replace(/^-+/, "");
  const near = meantBy(bare);
  const hint = near.length > 0 ? ` Did you mean --${near.join(" or --")}?` : "";
  return new UsageError(`There is no option ${name}.${hint} --help lists the options.`);
}

/** parseArgs takes any `--quiet=…` for a yes, and `--no-color=…` for a value of an option "color". */
function checkSwitch(arg: string): void {
  const [, name] = /^--([^=]+)=/.exec(arg) ?? [];
  const given = SWITCHES.find((option) => option === name);
  if (given) throw noValue(given);
}

/** The options that a word was meant for: mistyped, or else with letters left out, as in `temp` and `max-tokens`. */
function meantBy(word: string): string[] {
  const mistyped = OPTION_NAMES.filter((option) => {
    const edits = distance(option, word);
    return edits <= 2 && 2 * edits < word.length;
  });
  if (mistyped.length > 0 || word.length < 3) return mistyped;
  const letters = new RegExp(`^${[...word].map((letter) => RegExp.escape(letter)).join(".*")}`);
  return OPTION_NAMES.filter((option) => letters.test(option));
}

/** Edits that turn one word into another. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (letter === b[j] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

function forbidBoth(given: Given, name: OptionName, ...others: OptionName[]): void {
  const other = given.has(name) && others.find((each) => given.has(each));
  if (other) {
    throw new UsageError(`--${name} and --${other} contradict each other: leave one of them out.`);
  }
}

function promptSource(given: Given): PromptSource {
  const [first, second] = PROMPT_KINDS.filter(([name]) => given.has(name));
  if (!first) return { kind: "stdin" };
  const [name, kind] = first;
  if (second) {
    throw new UsageError(`--${name} and --${second[0]} both give a prompt: leave one of them out.`);
  }
  const value = given.get(name)!.at(-1)!;
  return kind === "text" ? { kind, text: value } : { kind, path: value };
}

function loadOptions(given: Given): LoadOptions {
  const context = number(given, "context");
  const kvCache = choice(given, "kv-cache") as "f16" | "f32" | undefined;
  const quantize = quantizationOf(given);
  const promptPrecision = choice(given, "prompt-precision") as PromptPrecision | undefined;
  const name = given.get("device")?.at(-1);
  return {
    ...(context !== undefined && { context }),
    ...(kvCache && { kvCache }),
    ...(quantize && { quantize }),
    ...(promptPrecision && { promptPrecision }),
    ...(name && { device: { name } }),
  };
}

function saveOptions(given: Given): SaveOptions | null {
  const target = given.get("save-quantized")?.at(-1);
  if (target === undefined) return null;
  const quantization = quantizationOf(given);
  if (!quantization) {
    throw new UsageError("--save-quantized needs to know in how many bits: give --quantize too.");
  }
  const used = ["model", "quantize", "device", "save-quantized", "quiet"];
  const idle = [...given.keys()].find((name) => !used.includes(name));
  if (idle) {
    throw new UsageError(
      `--save-quantized writes a model and answers nothing, so --${idle} has no place beside it: ` +
        `leave one of them out.`,
    );
  }
  return { quantization, target };
}

function quantizationOf(given: Given): Quantization | undefined {
  return choice(given, "quantize") as Quantization | undefined;
}

function generateOptions(given: Given): GenerateOptions {
  const drafter = choice(given, "drafter") as "original" | "tree" | undefined;
  const numbers = {
    maxNewTokens: number(given, "max-new-tokens"),
    promptLookupNumTokens: given.has("no-lookup") ? 0 : number(given, "num-draft"),
    maxMatchingNgramSize: number(given, "max-ngram"),
    temperature: number(given, "temperature"),
    topK: number(given, "top-k"),
    topP: number(given, "top-p"),
    minP: number(given, "min-p"),
    repetitionPenalty: number(given, "repetition-penalty"),
    seed: number(given, "seed"),
  };
  const known = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(known),
    ...(drafter && { drafter }),
    ignoreEos: given.has("ignore-eos"),
    logitsDigest: given.has("logits-digest"),
    stop: given.get("stop") ?? [],
  };
}

function notesOn(given: Given): string[] {
  const notes: string[] = [];
  const idle = (["top-k", "top-p", "min-p", "seed"] as const).filter((name) => given.has(name));
  if (idle.length > 0 && !number(given, "temperature")) {
    notes.push(
      `--${idle.join(", --")} ${idle.length > 1 ? "do" : "does"} nothing without a --temperature ` +
        `above 0: the likeliest token is taken.`,
    );
  }
  if (given.has("max-ngram") && choice(given, "drafter") !== "original") {
    notes.push("--max-ngram does nothing without --drafter original: the tree takes any length.");
  }
  if (given.has("color") && given.has("json")) {
    notes.push("--color does nothing beside --json, which prints no coloured text.");
  }
  return notes;
}

function number(given: Given, name: OptionName): number | undefined {
  const text = given.get(name)?.at(-1);
  if (text === undefined) return undefined;
  const { range: [min, max] = [-Infinity, Infinity], isReal } = OPTIONS[name];
  const pattern = isReal ? /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i : /^[+-]?\d+$/;
  const value = Number(text);
  if (pattern.test(text) && value >= min && value <= max) return value;
  const kind = isReal ? "a number" : "a whole number";
  const least = min === Number.MIN_VALUE ? "above 0, at most" : `from ${min} to`;
  throw new UsageError(`--${name} is ${JSON.stringify(text)} and must be ${kind} ${least} ${max}.`);
}

function choice(given: Given, name: OptionName): string | undefined {
  const text = given.get(name)?.at(-1);
  const { choices = [] } = OPTIONS[name];
  if (text === undefined || choices.includes(text)) return text;
  throw new UsageError(
    `--${name} is ${JSON.stringify(text)} and must be ${choices.join(" or ")}.`,
  );
}
