import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { helpText, OPTIONS } from "../../cli/option_table.ts";
import { parseOptions } from "../../cli/options.ts";
import { UsageError } from "../../cli/usage_error.ts";

/** Words of a command line; `_` stands for a space inside one. */
function words(line: string): string[] {
  return line.split(" ").filter((word) => word !== "").map((word) => word.replaceAll("_", " "));
}

function assertRefused(line: string, ...parts: string[]): void {
  const { message } = assertThrows(() => parseOptions(words(line)), UsageError, undefined, line);
  for (const part of parts) assertStringIncludes(message, part, line);
}

Deno.test("parseOptions() asks for nothing that was not asked for", () => {
  assertEquals(parseOptions([]), {
    action: "decode",
    save: null,
    model: null,
    prompt: { kind: "stdin" },
    chat: false,
    system: null,
    load: {},
    generate: { ignoreEos: false, logitsDigest: false, stop: [] },
    color: null,
    quiet: false,
    json: false,
    html: null,
    notes: [],
  });
});

Deno.test("parseOptions() suggests the option that was meant, and no other", () => {
  const suggested = (name: string) => {
    const { message } = assertThrows(() => parseOptions([name, "1"]), UsageError);
    return /Did you mean (.+)\?/.exec(message)?.[1] ?? null;
  };
  const meant = {
    "--promt": "--prompt",
    "--sed": "--seed",
    "--temp": "--temperature",
    "--max-tokens": "--max-new-tokens",
    "--max_new_tokens": "--max-new-tokens",
    "--rep-penalty=1": "--repetition-penalty",
    "--n": null,
    "--a.*": null,
    "--devices": "--device",
  };
  for (const [name, option] of Object.entries(meant)) assertEquals(suggested(name), option, name);
});

Deno.test("parseOptions() hands every option to the place where it counts", () => {
  const line =
    "--model some_dir --prompt=--a_b --chat --system be_brief --context 900 --kv-cache f32 --quantize q4 --prompt-precision f16 --device some_gpu " +
    "--max-new-tokens 12 --drafter original --num-draft 31 --max-ngram 15 --ignore-eos --temperature 0.7 --top-k 40 " +
    "--top-p 0.9 --min-p .05 --repetition-penalty 1.1 --seed 4294967295 --stop a --stop=-b " +
    "--color --quiet --json --logits-digest --html a.html";
  assertEquals(parseOptions(words(line)), {
    action: "decode",
    save: null,
    model: "some dir",
    prompt: { kind: "text", text: "--a b" },
    chat: true,
    system: "be brief",
    load: {
      context: 900,
      kvCache: "f32",
      quantize: "q4",
      promptPrecision: "f16",
      device: { name: "some gpu" },
    },
    generate: {
      maxNewTokens: 12,
      promptLookupNumTokens: 31,
      maxMatchingNgramSize: 15,
      drafter: "original",
      temperature: 0.7,
      topK: 40,
      topP: 0.9,
      minP: 0.05,
      repetitionPenalty: 1.1,
      seed: 4294967295,
      ignoreEos: true,
      logitsDigest: true,
      stop: ["a", "-b"],
    },
    color: true,
    quiet: true,
    json: true,
    html: "a.html",
    notes: ["--color does nothing beside --json, which prints no coloured text."],
  });
});

Deno.test("parseOptions() knows -h", () => {
  assertEquals(parseOptions(["-h"]).action, "help");
});

Deno.test("parseOptions() knows where the prompt is and what else there is to do", () => {
  const prompt = (line: string) => parseOptions(words(line)).prompt;
  assertEquals(prompt("--prompt-file a.txt"), { kind: "file", path: "a.txt" });
  assertEquals(prompt("--prompt-ids a.json"), { kind: "ids", path: "a.json" });
  assertEquals(prompt("--messages a.json"), { kind: "messages", path: "a.json" });
  assertEquals(prompt("--chat --messages a.json"), { kind: "messages", path: "a.json" });
  assertEquals(prompt("--prompt 12"), { kind: "text", text: "12" });
  assertEquals(parseOptions(["--prompt", "two\nlines = 3"]).prompt, {
    kind: "text",
    text: "two\nlines = 3",
  });
  const action = (line: string) => parseOptions(words(line)).action;
  assertEquals(action("--help"), "help");
  assertEquals(action("--version"), "version");
  assertEquals(action("--list-devices"), "list-devices");
  assertEquals(parseOptions(["--no-lookup"]).generate.promptLookupNumTokens, 0);
  assertEquals(parseOptions(["--no-color"]).color, false);
});

Deno.test("parseOptions() takes the last value of an option that is given twice", () => {
  assertEquals(parseOptions(words("--model a --model b --seed 1 --seed 2")).model, "b");
  assertEquals(parseOptions(words("--temperature 1 --seed 1 --seed 2")).generate.seed, 2);
});

Deno.test("parseOptions() notes what will do nothing", () => {
  const [note, ...more] = parseOptions(words("--top-k 3 --seed 1")).notes;
  assertEquals(more, []);
  assertStringIncludes(note!, "--top-k, --seed do nothing");
  assertEquals(parseOptions(words("--top-k 3 --seed 1 --temperature 1")).notes, []);
  assertMatch(parseOptions(words("--max-ngram 3")).notes[0]!, /^--max-ngram does nothing/);
  assertEquals(parseOptions(words("--max-ngram 3 --drafter original")).notes, []);
});

Deno.test("parseOptions() refuses unknown options and stray arguments", () => {
  assertRefused("--mdoel x", "no option --mdoel", "--model");
  assertRefused("--verbose", "no option --verbose", "--help");
  assertRefused("-m x", "no option -m");
  assertRefused("--promt=x", "no option --promt", "--prompt");
  assertRefused("article.txt", '"article.txt" belongs to no option', "--prompt");
  assertRefused("--model x what_now", '"what now" belongs to no option');
  assertRefused("--json --_x", "no option -- x");
});

Deno.test("parseOptions() refuses options without their values, and values that are none", () => {
  for (const [name, { value, range, choices, isReal }] of Object.entries(OPTIONS)) {
    if (!value) {
      assertRefused(`--${name}=yes`, `--${name} is a switch`);
      continue;
    }
    assertRefused(`--${name}`, `--${name} needs a value`);
    assertRefused(`--${name}=`, `--${name} needs a value`);
    assertThrows(() => parseOptions([`--${name}`, ""]), UsageError, `--${name} needs a value`);
    if (choices) assertRefused(`--${name} nonsense`, `--${name} is "nonsense"`, choices[0]!);
    if (!range) continue;
    for (const text of ["ten", "1e", "0x10", "Infinity", "NaN", "1,5"]) {
      assertRefused(`--${name} ${text}`, `--${name} is "${text}"`);
    }
    if (!isReal) assertRefused(`--${name} 2.5`, "a whole number");
    assertRefused(`--${name} -1`, `--${name}=`, "begins with a hyphen");
    assertRefused(`--${name}=-1`, `--${name} is "-1"`);
    assertRefused(`--${name} 9${"0".repeat(20)}`, `${range[1]}`);
  }
});

Deno.test("parseOptions() takes numbers up to their limits and none beyond", () => {
  for (const [name, { range, isReal }] of Object.entries(OPTIONS)) {
    if (!range) continue;
    const [min, max] = range;
    parseOptions([`--${name}=${min}`]);
    parseOptions([`--${name}=${max}`]);
    const step = isReal ? 0.001 : 1;
    assertRefused(`--${name}=${max + step}`, `${max}`);
    if (min > 0) assertRefused(`--${name}=${isReal ? 0 : min - 1}`, `--${name} is`);
  }
});

Deno.test("parseOptions() refuses options that contradict each other", () => {
  assertRefused("--color --no-color", "--color and --no-color contradict");
  assertRefused("--no-lookup --num-draft 3", "--no-lookup and --num-draft contradict");
  assertRefused("--no-lookup --max-ngram 3", "--no-lookup and --max-ngram contradict");
  assertRefused("--no-lookup --drafter tree", "--no-lookup and --drafter contradict");
  assertRefused("--prompt a --prompt-file b", "--prompt and --prompt-file both");
  assertRefused("--prompt-ids a --prompt-file b", "--prompt-file and --prompt-ids both");
  for (const other of ["--prompt", "--prompt-file", "--prompt-ids"]) {
    assertRefused(`--messages a ${other} b`, `${other} and --messages both`);
  }
  assertRefused("--messages a --chat --system b", "--messages", "--system", "first message");
  assertRefused("--messages a --system b", "--messages", "--system", "first message");
  assertRefused("--chat --prompt-ids a", "--chat", "--prompt-ids");
  assertRefused("--logits-digest", "give --json too");
  assertRefused("--prompt a --system b", "--system", "give --chat too");
  assertRefused("--save-quantized d", "give --quantize too");
  const save = parseOptions(words("--model m --quantize q8 --save-quantized d --quiet"));
  assertEquals(save.save, { quantization: "q8", target: "d" });
  assertRefused("--quantize q8 --save-quantized d --json", "--save-quantized", "--json has no");
});

Deno.test("helpText() names every option, on lines that fit", () => {
  const text = helpText();
  for (const name of Object.keys(OPTIONS)) assertStringIncludes(text, `  --${name} `);
  for (const line of text.split("\n")) assertEquals(line.length <= 120, true, line);
});
