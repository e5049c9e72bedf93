/**
 * What quantization and prompts in f16 cost in quality: a text's perplexity with the weights as the checkpoint has
 * them, in 8 and in 4 bits, and with prompts multiplied in f16; and how often all choose the same token.
 *
 *     deno run -A bench/quality.ts --model DIR --text article.txt
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Engine } from "../decode/engine.ts";
import { generationBuffers } from "../decode/state.ts";
import { listDevices, openGpu } from "../kernels/open_gpu.ts";
import { DittoError } from "../kernels/errors.ts";
import { Compiler } from "../kernels/compiler.ts";
import { openCheckpoint } from "../model/checkpoint.ts";
import { Forward } from "../model/forward.ts";
import { layOutWeights } from "../model/layout.ts";
import {
  checkMemory,
  dimensions,
  megabytes,
  promptChunk,
  type PromptPrecision,
} from "../model/memory.ts";
import { type Quantization, quantizedType } from "../model/quantization.ts";
import { loadTokenizer, requireTokenizer } from "../model/tokenizer.ts";
import { maxPartBytes } from "../model/weight_textures.ts";
import { loadWeights, type WeightSource } from "../model/weights.ts";
import { count, runMain } from "./arguments.ts";
import { compareLogits, type Quality } from "./quality/compare.ts";
import { randomWeights } from "./random_weights.ts";
import { SHAPE_NAMES, shapeConfig } from "./shapes.ts";

const HELP = `Compares a model in 8 and 4 bits, and with prompts in f16, with itself.

  --model DIR     a checkpoint in bf16, f16, f32 or fp8, and
  --text FILE     a text that is foreign to it; or
  --shape NAME    ${SHAPE_NAMES.join(" | ")} with made-up weights, and
  --layers N      N layers of it (default 1), for the error of their logits
  --tokens N      tokens to score, and up to a window's more (default 2048)
  --window N      tokens of context and scored ones together (default 512)
  --json          print one JSON object`;

/** Shares of a window that are scored; the tokens before are context. */
const SCORED = 3 / 4;

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    string: ["model", "text", "shape", "layers", "tokens", "window"],
    boolean: ["json", "help"],
    unknown: (name) => {
      throw new DittoError(`Unknown argument "${name}".\n\n${HELP}`);
    },
  });
  if (flags.help) return console.log(HELP);
  const maxTokens = count("tokens", flags.tokens) ?? 2048;
  const window = count("window", flags.window) ?? 512;
  if (window < 8) throw new DittoError(`--window is ${window}: it must be 8 or more.`);
  using stack = new DisposableStack();
  let source: WeightSource;
  let tokens: number[];
  const isOfModel = flags.model !== undefined || flags.text !== undefined;
  if (isOfModel && (flags.shape !== undefined || flags.layers !== undefined)) {
    throw new DittoError(
      `--shape and --layers have no place beside --model and --text.\n\n${HELP}`,
    );
  }
  if (flags.model && flags.text) {
    const checkpoint = stack.use(await openCheckpoint(flags.model));
    const { quantization } = checkpoint.config;
    if (quantization) {
      throw new DittoError(
        `${flags.model} holds its weights in ${quantization} already: give the checkpoint it was made from.`,
      );
    }
    source = checkpoint;
    const tokenizer = requireTokenizer(
      await loadTokenizer(flags.model, source.config),
      flags.model,
    );
    const text = new TextDecoder("utf-8", { fatal: true });
    try {
      tokens = tokenizer.encode(text.decode(await Deno.readFile(flags.text)));
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new DittoError(`${flags.text} is not UTF-8: convert it.`, { cause });
    }
  } else if (flags.shape) {
    const config = shapeConfig(flags.shape, count("layers", flags.layers) ?? 1);
    source = randomWeights(config);
    tokens = Array.from(
      { length: maxTokens + window },
      (_, i) => (i * 7919 + 13) % config.vocabSize,
    );
  } else {
    throw new DittoError(`Give --model and --text, or --shape.\n\n${HELP}`);
  }

  const reference = await logitsOf(source, {}, tokens, window, maxTokens);
  const results: Record<string, Quality & { weightBytes: number }> = {};
  const variants: Record<string, Loading> = {
    "as it is": {},
    "q8": { quantization: "q8" },
    "q4": { quantization: "q4" },
    ...((await listDevices())[0]?.hasF16 && { "prompts in f16": { promptPrecision: "f16" } }),
  };
  for (const [name, loading] of Object.entries(variants)) {
    const { logits, targets, weightBytes } = name === "as it is"
      ? reference
      : await logitsOf(source, loading, tokens, window, maxTokens);
    const quality = compareLogits(reference.logits, logits, targets);
    results[name] = { weightBytes, ...quality };
  }
  if (flags.json) return console.log(JSON.stringify(results));
  console.log(`${reference.targets.length} tokens, after ${window - scored(window)} or more each`);
  for (const [name, q] of Object.entries(results)) {
    console.log(
      `${name.padEnd(15)}weights ${megabytes(q.weightBytes)}, perplexity ${
        q.perplexity.toFixed(4)
      }, ` +
        `same token ${(100 * q.sameTop).toFixed(2)}%, divergence ${
          q.divergence.toExponential(2)
        }, ` +
        `logits off by ${(100 * q.logitsError).toFixed(2)}%`,
    );
  }
}

/** How the model is loaded, where it is not as it is. */
interface Loading {
  readonly quantization?: Quantization | null;
  readonly promptPrecision?: PromptPrecision;
}

function scored(window: number): number {
  return Math.floor(window * SCORED);
}

/** The logits before each scored token of a text, which goes through the model window by window. */
async function logitsOf(
  source: WeightSource,
  { quantization = null, promptPrecision }: Loading,
  tokens: readonly number[],
  window: number,
  maxTokens: number,
): Promise<{ logits: Float32Array[]; targets: number[]; weightBytes: number }> {
  const { config } = source;
  using gpu = await openGpu();
  const layout = layOutWeights(
    config,
    (tensor) => quantizedType(tensor, quantization) ?? source.tensors.get(tensor)!.dtype,
    maxPartBytes(gpu.info),
  );
  const d = dimensions(config, window, "f16", promptPrecision, promptChunk(gpu.info));
  const others = (context: number) => generationBuffers(config.vocabSize, context);
  const { weights: weightBytes } = checkMemory(config, layout, d, gpu.info, others);
  const weights = await loadWeights(gpu, source, layout);
  const compiler = new Compiler(gpu);
  const forward = new Forward(gpu, compiler, config, weights, d);
  const engine = new Engine(gpu, compiler, forward, config.vocabSize, window);
  const step = scored(window);
  const logits: Float32Array[] = [];
  const targets: number[] = [];
  for (
    let start = 0;
    start + window <= tokens.length && targets.length < maxTokens;
    start += step
  ) {
    const text = tokens.slice(start, start + window);
    const prompt = text.slice(0, window - step);
    const options = {
      maxNewTokens: step,
      drafter: "original" as const,
      numDraft: 0,
      rowCosts: [],
      maxNgram: 1,
      eos: [],
      replay: text,
      submissionsAhead: 2,
      logits: true,
    };
    for await (const pass of engine.run(prompt, options)) {
      for (const row of pass.logits!) logits.push(new Float32Array(row.slice().buffer));
    }
    targets.push(...text.slice(window - step));
  }
  if (targets.length === 0) {
    throw new DittoError(
      `The text has ${tokens.length} tokens, less than a window of ${window}: give a longer one, or ` +
        `a smaller --window.`,
    );
  }
  return { logits, targets, weightBytes };
}

if (import.meta.main) await runMain(main);
