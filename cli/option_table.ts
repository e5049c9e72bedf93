/**
 * What the command line understands: one list, from which the parser, its checks and the help are made.
 *
 * @module
 */

/** An option of the command line. */
export interface Option {
  /** What the help calls its value; an option without one is a switch. */
  readonly value?: string;
  /** Limits of a number, both included; `integer` unless `isReal`. */
  readonly range?: readonly [min: number, max: number];
  /** Whether a number may have a fraction. */
  readonly isReal?: boolean;
  /** The values there are. */
  readonly choices?: readonly string[];
  /** Whether it may be given several times. */
  readonly isList?: boolean;
  /** What it does. */
  readonly help: string;
}

/** More than is useful, where there is no other limit. */
const MANY = 2 ** 31 - 1;
/** Drafts that a pass can check. */
export const MAX_DRAFTS = 31;

/** The options by name, in the groups of the help. */
const OPTION_GROUPS = {
  "Model": {
    "model": {
      value: "DIR",
      help:
        "a checkpoint directory, or a name that hf download knows; without it, the model in the box",
    },
    "context": {
      value: "N",
      range: [2, 2 ** 24],
      help:
        "tokens of prompt and answer together (4096, doubled until both fit, as the model allows)",
    },
    "kv-cache": {
      value: "TYPE",
      choices: ["f16", "f32"],
      help: "f16 | f32, how keys and values are kept (f16)",
    },
    "quantize": {
      value: "TYPE",
      choices: ["q8", "q4"],
      help: "q8 | q4, keep weights in 8 or 4 bits: less memory to hold and to read, some loss",
    },
    "prompt-precision": {
      value: "TYPE",
      choices: ["f16", "f32"],
      help:
        "f16 | f32, what prompts are multiplied in (f16 on a GPU that has it and is not Intel's)",
    },
    "device": {
      value: "NAME",
      help: "the device to use, by a part of its name (the first of --list-devices)",
    },
    "save-quantized": {
      value: "DIR",
      help: "write the model as --quantize keeps it to a new directory, and end",
    },
  },
  "Prompt (one of these; without any it is read from standard input)": {
    "prompt": { value: "TEXT", help: "the prompt itself" },
    "prompt-file": {
      value: "FILE",
      help: "a text file in UTF-8, taken as it is (but for a byte-order mark)",
    },
    "prompt-ids": { value: "FILE", help: "a JSON array of token ids, taken as they are" },
    "messages": {
      value: "FILE",
      help: 'the turns of a chat: a JSON array of {"role": …, "content": …}',
    },
    "chat": { help: "the prompt is what a user says: write it with the model's chat template" },
    "system": { value: "TEXT", help: "what that chat begins with: a system's turn" },
  },
  "Answer": {
    "max-new-tokens": { value: "N", range: [0, MANY], help: "tokens at most (256)" },
    "ignore-eos": { help: "go on after an end-of-sequence token" },
    "stop": {
      value: "TEXT",
      isList: true,
      help: "end the answer before this text, or at this special token; may be given several times",
    },
    "temperature": {
      value: "T",
      range: [0, 100],
      isReal: true,
      help: "draw tokens at this temperature; 0 takes the likeliest (0)",
    },
    "top-k": { value: "N", range: [0, MANY], help: "draw from the N likeliest; 0 is all (0)" },
    "top-p": {
      value: "P",
      range: [Number.MIN_VALUE, 1],
      isReal: true,
      help: "draw from the likeliest that together have this probability (1)",
    },
    "min-p": {
      value: "P",
      range: [0, 1],
      isReal: true,
      help: "draw from those at least P times as likely as the likeliest (0)",
    },
    "repetition-penalty": {
      value: "R",
      range: [0.01, 100],
      isReal: true,
      help: "make tokens that were there before less likely; 1 does nothing (1)",
    },
    "seed": {
      value: "N",
      range: [0, 2 ** 32 - 1],
      help: "of the draws; the same seed gives the same answer (0)",
    },
  },
  "Lookup (never changes the answer)": {
    "drafter": {
      value: "NAME",
      choices: ["original", "tree"],
      help: "tree: all that is worth its cost; original: the first match, whatever it costs (tree)",
    },
    "num-draft": {
      value: "N",
      range: [0, MAX_DRAFTS],
      help: "tokens drafted a pass, at most (31; for the original 10)",
    },
    "max-ngram": {
      value: "N",
      range: [1, 15],
      help: "longest run of tokens that the original looks up (3)",
    },
    "no-lookup": { help: "plain decoding, one token a pass" },
  },
  "Output": {
    "color": { help: "colour the tokens of each pass, also where it is not a terminal" },
    "no-color": { help: "never colour" },
    "quiet": { help: "nothing but the answer: no progress, notes or summary" },
    "json": { help: "one JSON object with text, token ids and figures" },
    "logits-digest": { help: "add the SHA-256 of the logits that chose the tokens to it" },
    "html": {
      value: "FILE",
      help: "also write a page that shows what each pass copied from where",
    },
  },
  "Other": {
    "list-devices": { help: "list the WebGPU devices, the one that is used first" },
    "help": { help: "show this help" },
    "version": { help: "show the version" },
  },
} satisfies Record<string, Record<string, Option>>;

type Groups = typeof OPTION_GROUPS;
/** The name of an option. */
export type OptionName = { [Title in keyof Groups]: keyof Groups[Title] }[keyof Groups];

/** The options by name. */
export const OPTIONS: Readonly<Record<OptionName, Option>> = Object.assign(
  {},
  ...Object.values(OPTION_GROUPS),
);

/** The names, in the order of the help. */
export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** Whether this is the name of an option. */
export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}

/** The text of --help. */
export function helpText(): string {
  const groups = Object.entries(OPTION_GROUPS).map(([title, options]) => {
    const lines = Object.entries<Option>(options).map(([name, { value, help }]) =>
      `  --${value ? `${name} ${value}` : name}`.padEnd(28) + help
    );
    return `${title}\n${lines.join("\n")}`;
  });
  return `${USAGE}\n\n${groups.join("\n\n")}\n\n${NOTES}`;
}

const USAGE = `Answers a prompt with a Mistral checkpoint on the GPU, with prompt lookup decoding.

  deno run -A decode.ts --chat --prompt "Rename count to total: let count = 0;"
  deno run -A decode.ts --model DIR --prompt-file article.txt --max-new-tokens 500`;

const NOTES = `A value that begins with a hyphen is written --option=VALUE.
Ctrl-C ends the answer and keeps what was decoded; a second one kills.
Exit codes: 0 for success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.`;
