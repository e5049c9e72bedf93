/**
 * Times llama.cpp, through node-llama-cpp, on a shape of bench/shapes/ with made-up weights: prompts, plain
 * decoding, and decoding with its input lookup predictor while recorded answers are replayed.
 *
 *     npm install --prefix PEERS node-llama-cpp
 *     deno run -A bench/peers/llama_cpp.ts --modules PEERS/node_modules --replay FILE --out RESULT.json
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { DittoError } from "../../kernels/errors.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { count, runMain } from "../arguments.ts";
import { chosenAnswers } from "../chosen_answers.ts";
import { copyBandwidth } from "../copy_bandwidth.ts";
import { driverVersion, prepareOut, resultPath } from "../machine.ts";
import { readAnswers } from "../replay/answers.ts";
import { type EndToEndResult, type ReplayedAnswer, taskFigures } from "../result.ts";
import { passBytes, SHAPE_NAMES, shapeConfig } from "../shapes.ts";
import { LlamaProcess } from "./llama_process.ts";
import { writeRandomGguf } from "./random_gguf.ts";

const HELP = `Times llama.cpp on a model's real shape with made-up weights.

  --modules DIR    the node_modules directory that node-llama-cpp is installed in
  --gpu BACKEND    cuda | vulkan | none (default: the best that is installed)
  --threads N      of the CPU; llama.cpp's own choice stalls where others use the cores too
  --shape NAME     ${SHAPE_NAMES.join(" | ")} (default mistral-7b)
  --layers N       keep N layers only
  --replay FILE    replay the recorded answers of a JSON lines file
  --task NAME      this task's only
  --answers N      N of each task only
  --out PATH       file to write, or directory`;

/** llama.cpp's end-of-sequence token cannot be forced on it; answers end before. */
const EOS = 2;
/** Tokens of prompt and answer together at most. */
const CONTEXT = 4608;

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: ["modules", "gpu", "threads", "shape", "layers", "replay", "task", "answers", "out"],
    boolean: ["help"],
    default: { shape: "mistral-7b", gpu: "auto" },
    unknown: (name) => {
      throw new DittoError(`Unknown argument "${name}".\n\n${HELP}`);
    },
  });
  if (flags.help) return console.log(HELP);
  const { modules, replay, out } = flags;
  if (!modules || !out) throw new DittoError(`Give --modules and --out.\n\n${HELP}`);
  await prepareOut(out);
  const config = shapeConfig(flags.shape, count("layers", flags.layers));
  const all = replay ? await readAnswers(replay) : [];
  const answers = replay
    ? chosenAnswers(all, flags.task, count("answers", flags.answers)).map((answer) => ({
      ...answer,
      outputIds: answer.outputIds.filter((id) => id !== EOS),
    })).filter(({ outputIds }) => outputIds.length > 1)
    : [];
  const bandwidth = await ownBandwidth(); // before llama.cpp takes the device's memory
  const file = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    await writeRandomGguf(config, file);
    await using llama = new LlamaProcess(
      modules,
      file,
      CONTEXT,
      flags.gpu,
      count("threads", flags.threads),
    );
    const { device, backend, version } = await llama.info();
    const isSoftware = backend === "CPU";
    const bytesPerPass = passBytes(config);
    let result: EndToEndResult = {
      kind: "end-to-end",
      engine: "llama.cpp",
      version: `${version}, ${backend}`,
      date: new Date().toISOString(),
      device,
      driver: isSoftware ? null : await driverVersion(device),
      isSoftware,
      runtime: `node-llama-cpp in Deno ${Deno.version.deno}`,
      shape: flags.shape,
      layers: config.numHiddenLayers,
      isWhole: config.numHiddenLayers === shapeConfig(flags.shape).numHiddenLayers,
      dtype: "bf16",
      copyBytesPerSecond: isSoftware ? null : bandwidth, // WebGPU's device is not the CPU that ran
      multiplyAddsPerSecond: null,
      bytesPerPass,
      prefill: [],
      plain: [],
      rowCosts: null,
      replays: [],
    };
    const path = await resultPath(out, result);
    const add = async (part: Partial<EndToEndResult>) => {
      result = { ...result, ...part, date: new Date().toISOString() };
      await Deno.writeTextFile(path, JSON.stringify(result, null, 2) + "\n");
    };
    const run = (prompt: readonly number[], answer: readonly number[], lookup = false) =>
      llama.run({ prompt, answer, lookup });
    const madeUp = (length: number) =>
      Array.from({ length }, (_, i) => 3 + i * 7919 % (config.vocabSize - 3));
    await run(madeUp(64), madeUp(4)); // what the backend compiles at first use
    for (const tokens of isSoftware ? [128] : [128, 1024, 4096]) {
      const { promptMs } = await run(madeUp(tokens), [5]);
      const tokensPerSecond = tokens / promptMs * 1000;
      console.error(`prefill of ${tokens} tokens: ${tokensPerSecond.toFixed(0)} tokens a second`);
      const prefill = { tokens, tokensPerSecond, fractionOfMultiplyAdds: null };
      await add({ prefill: [...result.prefill, prefill] });
    }
    for (const context of isSoftware ? [128] : [128, 1024]) {
      const { tokens, decodeMs } = await run(madeUp(context), madeUp(isSoftware ? 17 : 257));
      const tokensPerSecond = tokens / decodeMs * 1000;
      console.error(`plain after ${context} tokens: ${tokensPerSecond.toFixed(1)} tokens a second`);
      const { copyBytesPerSecond: copy } = result;
      const fractionOfCopy = copy && bytesPerPass * tokensPerSecond / copy;
      const plain = { context, tokens, tokensPerSecond, fractionOfCopy, cpuMsPerStep: null };
      await add({ plain: [...result.plain, plain] });
    }
    const replayed: ReplayedAnswer[] = [];
    for (const { task, category, promptIds, outputIds } of answers) {
      const plain = await run(promptIds, outputIds);
      const lookup = await run(promptIds, outputIds, true);
      replayed.push({
        task,
        category,
        promptTokens: promptIds.length,
        tokens: lookup.tokens,
        passes: lookup.passes,
        plainMs: plain.decodeMs,
        lookupMs: lookup.decodeMs,
      });
      const recording = replay!.replace(/.*[/\\]/, "");
      const tasks = taskFigures(replayed);
      await add({
        replays: [{ drafter: "InputLookupTokenPredictor", recording, tasks, answers: replayed }],
      });
    }
    console.error(`Written to ${path}.`);
  } finally {
    await Deno.remove(file);
  }
}

/** Bytes a second that the device copies, in Ditto's own kernel. */
async function ownBandwidth(): Promise<number | null> {
  using gpu = await openGpu();
  return await copyBandwidth(gpu);
}

if (import.meta.main) await runMain(main);
