/**
 * The whole engine on a model's real shape with made-up weights: prefill, plain decoding, what a pass costs by
 * its rows, and decoding with lookup while recorded answers are replayed; against what this device can do.
 *
 *     deno run -A bench/end_to_end.ts --shape mistral-7b --replay ../shared/traces/mistral-7b-instruct-v0.1.jsonl --json
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { LanguageModel } from "../decode/language_model.ts";
import { loadFrom, type LoadOptions } from "../decode/load_model.ts";
import { FEW_COUNTS, SLOW_MS } from "../decode/row_costs.ts";
import { listDevices, openGpu, type OpenOptions } from "../kernels/open_gpu.ts";
import { DittoError } from "../kernels/errors.ts";
import type { WeightType } from "../kernels/weight_types.ts";
import type { MistralConfig } from "../model/config.ts";
import type { PromptPrecision } from "../model/memory.ts";
import { type Quantization, quantizedType } from "../model/quantization.ts";
import { requiredTensors } from "../model/required_tensors.ts";
import type { Tokenizer } from "../model/tokenizer.ts";
import type { WeightSource } from "../model/weights.ts";
import { count, runMain } from "./arguments.ts";
import { chosenAnswers } from "./chosen_answers.ts";
import { copyBandwidth } from "./copy_bandwidth.ts";
import {
  type Drafter,
  measurePlain,
  measurePrefill,
  replayAnswer,
  type Yardstick,
} from "./end_to_end/measure.ts";
import { commit, driverVersion, prepareOut, resultPath } from "./machine.ts";
import { multiplyAddRate } from "./multiply_add_rate.ts";
import { randomWeights } from "./random_weights.ts";
import { readAnswers, type RecordedAnswer, recordedTokenizer } from "./replay/answers.ts";
import { type EndToEndResult, type ReplayedAnswer, taskFigures } from "./result.ts";
import { passBytes, SHAPE_NAMES, shapeConfig } from "./shapes.ts";

const HELP = `Times the engine on a model's real shape with made-up weights.

  --shape NAME     ${SHAPE_NAMES.join(" | ")} (default mistral-7b)
  --device NAME    which device: a part of its name (default the one that Deno prefers)
  --dtype TYPE     bf16 | fp8 | q8 | q4, how weights are stored on the device (default bf16)
  --prompt-precision TYPE
                   f16 | f32, what prompts are multiplied in (default f16 on a GPU that has it, but Intel's)
  --layers N       keep N layers only (default all; 2 where the CPU plays the device)
  --replay FILE    also decode with lookup, replaying the recorded answers of a JSON lines file
  --tokenizer DIR  with the tokenizer.json of the recording, so that the tree takes tokens that write the same word
                   for the same, as with a whole checkpoint
  --drafter NAME   tree | original (default tree); given twice, both replay every answer
  --task NAME      replay this task's answers only
  --answers N      replay N answers of each task only
  --note TEXT      what else has to be known of this run; kept with the result
  --json           print the result as one JSON object
  --out PATH       write the result to a file, or into a directory as <device>-<date>.json;
                   written after each part, so that a run that is cut short leaves what it had`;

/** Software devices run this many layers unless told otherwise: the whole would take hours. */
const SOFTWARE_LAYERS = 2;
const ROWS = [1, 2, 4, 8, 12, 16, 32];
/** Prompts, contexts and numbers of tokens to measure, on a GPU and where the CPU plays one. */
const HARDWARE = { prefill: [128, 1024, 4096], plain: [128, 1024, 16384], tokens: 256, runs: 3 };
const SOFTWARE = { prefill: [128], plain: [128], tokens: 8, runs: 1 };

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: [
      "shape",
      "device",
      "dtype",
      "prompt-precision",
      "layers",
      "replay",
      "tokenizer",
      "drafter",
      "task",
      "answers",
      "note",
      "out",
    ],
    collect: ["drafter"],
    boolean: ["json", "help"],
    default: { shape: "mistral-7b", dtype: "bf16" },
    unknown: (name) => {
      throw new DittoError(`Unknown argument "${name}".\n\n${HELP}`);
    },
  });
  if (flags.help) return console.log(HELP);
  if (flags.out !== undefined) await prepareOut(flags.out);
  const say = (text: string) => console.error(text);
  const isSoftware = (await listDevices(flags.device))[0]?.isSoftware ?? true;
  const layers = count("layers", flags.layers) ?? (isSoftware ? SOFTWARE_LAYERS : undefined);
  const config = shapeConfig(flags.shape, layers);
  const isWhole = config.numHiddenLayers === shapeConfig(flags.shape).numHiddenLayers;
  const sizes = isSoftware ? SOFTWARE : HARDWARE;
  const answers = flags.replay
    ? chosenAnswers(await readAnswers(flags.replay), flags.task, count("answers", flags.answers))
    : [];

  const drafters = (flags.drafter.length > 0 ? flags.drafter : ["tree"]).map(parseDrafter);
  const { source, quantize } = parseDtype(flags.dtype, config);
  const device = { name: flags.device };
  const yardstick = await measureYardstick(
    device,
    config,
    (tensor) => quantizedType(tensor, quantize) ?? source.tensors.get(tensor)!.dtype,
  );
  const promptPrecision = parsePrecision(flags["prompt-precision"]);
  const options = {
    device,
    ...(quantize && { quantize }),
    ...(promptPrecision && { promptPrecision }),
  };
  const tokenizer = flags.tokenizer ? await recordedTokenizer(flags.tokenizer, config) : null;
  using model = await loadAnew(source, tokenizer, sizes, answers, options);
  let result: EndToEndResult = {
    kind: "end-to-end",
    engine: "Ditto",
    version: await commit(),
    date: new Date().toISOString(),
    device: model.device.name,
    driver: await driverVersion(model.device.name),
    isSoftware,
    ...(flags.note && { note: flags.note }),
    runtime: `Deno ${Deno.version.deno}`,
    shape: flags.shape,
    layers: config.numHiddenLayers,
    isWhole,
    dtype: flags.dtype,
    promptPrecision: model.promptPrecision,
    profile: model.profile,
    maxDrafts: model.maxDrafts,
    copyBytesPerSecond: yardstick.copyBytesPerSecond,
    multiplyAddsPerSecond: yardstick.multiplyAddsPerSecond,
    bytesPerPass: yardstick.bytesPerPass,
    prefill: [],
    plain: [],
    rowCosts: null,
    replays: [],
  };
  const path = flags.out && await resultPath(flags.out, result);
  const add = async (part: Partial<EndToEndResult>) => {
    result = { ...result, ...part, date: new Date().toISOString() };
    if (path) await Deno.writeTextFile(path, JSON.stringify(result, null, 2) + "\n");
  };
  say(`${flags.shape}, ${config.numHiddenLayers} layers, ${flags.dtype}, on ${model.device.name}`);
  if (isSoftware) say("There is no GPU here: the CPU plays the device.");
  if (!isWhole) say("These are a few layers only: no figure below is the whole model's.");
  say(`copies ${giga(yardstick.copyBytesPerSecond)} GB/s`);
  say(`does ${giga(yardstick.multiplyAddsPerSecond)} billion multiply-adds of f32 a second`);

  say(`kernels: ${JSON.stringify(model.profile)}`);
  say(`drafts of a pass that leave the answer as it is to the bit: ${model.maxDrafts}`);

  for (const length of sizes.prefill) {
    const prefill = await measurePrefill(model, length, sizes.runs, yardstick);
    say(
      `prefill of ${length} tokens in ${model.promptPrecision}: ${
        prefill.tokensPerSecond.toFixed(0)
      } tokens a second, ` +
        `${percent(prefill.fractionOfMultiplyAdds)} of the multiply-add rate`,
    );
    await add({ prefill: [...result.prefill, prefill] });
  }
  for (const context of sizes.plain) {
    const plain = await measurePlain(model, context, sizes.tokens, sizes.runs, yardstick);
    say(
      `plain decoding after ${context} tokens: ${
        plain.tokensPerSecond.toFixed(1)
      } tokens a second, ` +
        `${percent(plain.fractionOfCopy)} of the copy bandwidth` +
        (plain.cpuMsPerStep ? `, ${plain.cpuMsPerStep.toFixed(2)} ms of CPU a step` : ""),
    );
    await add({ plain: [...result.plain, plain] });
  }
  const [short, long] = [result.plain[0]!, result.plain.at(-1)!];
  if (long !== short) {
    const more = short.tokensPerSecond / long.tokensPerSecond - 1;
    say(`a context of ${long.context} adds ${percent(more)} to a pass at ${short.context}`);
  }
  await add({ rowCosts: rowCosts(model, 1000 / short.tokensPerSecond) });
  say(`cost of a pass by rows, of one row's: ${JSON.stringify(result.rowCosts)}`);

  const replayed = drafters.map((): ReplayedAnswer[] => []);
  for (const answer of answers) {
    const found = await replayAnswer(model, answer, drafters, sizes.runs);
    found.forEach((one, i) => replayed[i]!.push(one));
    const recording = flags.replay!.replace(/.*[/\\]/, "");
    await add({
      replays: drafters.map((drafter, i) => {
        const answers = replayed[i]!;
        return { drafter, recording, tasks: taskFigures(answers), answers };
      }),
    });
  }
  for (const { drafter, tasks } of result.replays) {
    for (const [task, { answers, tokensPerSecond, speed }] of Object.entries(tasks)) {
      say(
        `replay of ${task}, ${answers} answers, ${drafter}: ${
          tokensPerSecond.toFixed(1)
        } tokens a second, ` +
          `${speed.total.toFixed(2)} times plain (mean ${speed.mean.toFixed(2)}, ` +
          `least ${speed.min.toFixed(2)})`,
      );
    }
  }
  if (path) say(`Written to ${path}.`);
  if (flags.json) console.log(JSON.stringify(result));
}

function parseDrafter(name: string): Drafter {
  if (name === "tree" || name === "original") return name;
  throw new DittoError(`There is no drafter "${name}": there are tree and original.`);
}

function parsePrecision(precision: string | undefined): PromptPrecision | null {
  if (precision === undefined) return null;
  if (precision === "f16" || precision === "f32") return precision;
  throw new DittoError(`--prompt-precision is "${precision}": it must be f16 or f32.`);
}

function parseDtype(
  dtype: string,
  config: MistralConfig,
): { source: WeightSource; quantize: Quantization | null } {
  if (dtype === "bf16" || dtype === "fp8") {
    return { source: randomWeights(config, dtype), quantize: null };
  }
  if (dtype === "q8" || dtype === "q4") return { source: randomWeights(config), quantize: dtype };
  throw new DittoError(`--dtype is "${dtype}": it must be bf16, fp8, q8 or q4.`);
}

/** What the device can do, and the work of a pass and of a prompt's token. */
async function measureYardstick(
  on: OpenOptions,
  config: MistralConfig,
  typeOf: (tensor: string) => WeightType,
): Promise<Yardstick> {
  const elements = (isCounted: (name: string) => boolean) =>
    requiredTensors(config).filter(({ name }) => isCounted(name))
      .reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const last = `model.layers.${config.numHiddenLayers - 1}.`;
  using gpu = await openGpu(on);
  return {
    copyBytesPerSecond: await copyBandwidth(gpu),
    multiplyAddsPerSecond: await multiplyAddRate(gpu),
    bytesPerPass: passBytes(config, typeOf),
    // A prompt goes through the products of the layers; of the last, only keys and values are wanted.
    multiplyAddsPerPromptToken: elements((name) =>
      /_proj/.test(name) && !(name.startsWith(last) && /o_proj|mlp/.test(name))
    ),
  };
}

/** Loads the model without what an earlier run remembers of the device. */
async function loadAnew(
  source: WeightSource,
  tokenizer: Tokenizer | null,
  { prefill, plain, tokens }: typeof HARDWARE,
  answers: readonly RecordedAnswer[],
  options: LoadOptions,
): Promise<LanguageModel> {
  const context = Math.max(
    ...prefill.map((length) => length + 1),
    ...plain.map((length) => length + tokens),
    ...answers.map(({ promptIds, outputIds }) => promptIds.length + outputIds.length),
  );
  const cache = await Deno.makeTempDir();
  Deno.env.set("DITTO_CACHE", cache);
  try {
    return await loadFrom(source, tokenizer, { ...options, context });
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** Those that were measured: on a slow device the others are guesses. */
function rowCosts(model: LanguageModel, passMs: number): Record<string, number> {
  const cost = (rows: number) => model.rowCosts[rows - 1]!;
  const isSlow = SLOW_MS.some(([rows, most]) => passMs * cost(rows) > most);
  return Object.fromEntries((isSlow ? FEW_COUNTS : ROWS).map((rows) => [rows, cost(rows)]));
}

function giga(perSecond: number | null): string {
  return perSecond ? (perSecond / 1e9).toFixed(1) : "an unknown number of";
}

function percent(fraction: number | null): string {
  return fraction ? `${(fraction * 100).toFixed(0)}%` : "an unknown share";
}

if (import.meta.main) await runMain(main);
