/**
 * Loading a model: from a checkpoint to an engine on one device, with what was measured of them before.
 *
 * @module
 */
import type { DeviceInfo, Gpu } from "../kernels/device.ts";
import { openGpu, type OpenOptions } from "../kernels/open_gpu.ts";
import { Compiler } from "../kernels/compiler.ts";
import { isProfile, type Profile } from "../kernels/profile.ts";
import { allSources, MAX_ROWS } from "../kernels/stages.ts";
import { directoryPath, openCheckpoint } from "../model/checkpoint.ts";
import type { MistralConfig } from "../model/config.ts";
import { DittoError, inputError, show } from "../model/errors.ts";
import { Forward } from "../model/forward.ts";
import { findModel } from "../model/hub_cache.ts";
import { layOutWeights } from "../model/layout.ts";
import {
  checkMemory,
  dimensions,
  LEAST_CONTEXT,
  megabytes,
  promptChunk,
  type PromptPrecision,
} from "../model/memory.ts";
import { checkProgress, checkSignal, deviceOptions, givenOptions } from "../model/options.ts";
import { isGranted } from "../model/permissions.ts";
import { type Quantization, quantizedType } from "../model/quantization.ts";
import { loadTokenizer, type Tokenizer } from "../model/tokenizer.ts";
import { type LoadProgress, type WeightSource, WeightUpload } from "../model/weights.ts";
import { maxPartBytes, moveToTextures } from "../model/weight_textures.ts";
import { measureProfile } from "./device_profile.ts";
import { Engine } from "./engine.ts";
import { LanguageModel } from "./language_model.ts";
import { isLosslessRows, losslessRows } from "./lossless_rows.ts";
import {
  checkPromptPrecision,
  checkQuantize,
  checkRowCosts,
  integer,
  maxNewTokensOf,
} from "./options.ts";
import { checkFits, contextFor, MAX_CONTEXT, type Prompt, promptTokens } from "./prompt.ts";
import { Remembered } from "./remembered.ts";
import { costsAt, isPassTimes, type PassTimes, UNMEASURED_ROW_COSTS } from "./row_costs.ts";
import { generationBuffers, MAX_EOS } from "./state.ts";

/** How to load a model. */
export interface LoadOptions {
  /**
   * Tokens that prompt and answer may have together, an integer from 2 to 2²⁴; the KV cache grows with it up to the
   * sliding window. Default: 4096, doubled until `prompt` and its answer have room, but not more than the checkpoint's
   * `max_position_embeddings`, beyond which a model was not trained.
   */
  readonly context?: number | undefined;
  /**
   * A prompt that is to be answered. It is checked before any weight is read, and the default of `context` follows it.
   * Default none.
   */
  readonly prompt?: Prompt | undefined;
  /** Tokens that the prompt's answer may have; those beyond 4096 do not make the context larger. Default 256. */
  readonly maxNewTokens?: number | undefined;
  /** What keys and values are kept in. "f32" takes twice the memory and holds numbers beyond 65504. Default "f16". */
  readonly kvCache?: "f16" | "f32" | undefined;
  /**
   * Keeps weights in fewer bits: "q8" in 8, "q4" most of them in 4 and the others in 8, with scales in half a
   * bit more. Half or a third of the memory that 16 bits take to hold and to read, at some loss of quality. Default: as
   * the checkpoint has them.
   */
  readonly quantize?: Quantization | undefined;
  /**
   * What prompts are multiplied in. "f16" is faster where a GPU computes in f16 faster than in f32, and less exact
   * (an error of 0.1% of a product's size, about what rounding its inputs to bf16 makes). Prompts only: the
   * answer's own passes are in f32. Default: "f16" on a GPU that has `shader-f16`, except on Intel's, else "f32".
   */
  readonly promptPrecision?: PromptPrecision | undefined;
  /** Called as weights are loaded, after each piece of up to 16 MiB. Default none. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /**
   * What passes of 1, 2, … 32 rows cost relative to one row, 1 to 1000 and none less than the one before it: lookup drafts
   * what is worth its cost. Default: what is measured on the device, in a short text and a long one, once for each device
   * and shape of model. Only then is it tried, unless it is known, whether passes of many rows give each row the bits it has
   * alone (`LanguageModel.maxDrafts`).
   */
  readonly rowCosts?: readonly number[] | undefined;
  /** Ends the loading between two steps, such as compiling a kernel; it then fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Which device to use, `{ name: "Intel" }` for example, and how to open it. Default: the first of `listDevices()`. */
  readonly device?: OpenOptions | undefined;
}

const OPTIONS = {
  context: true,
  prompt: true,
  maxNewTokens: true,
  kvCache: true,
  quantize: true,
  promptPrecision: true,
  onProgress: true,
  rowCosts: true,
  signal: true,
  device: true,
} satisfies Record<keyof LoadOptions, true>;

/**
 * Loads a model from a Hugging Face checkpoint directory.
 *
 * @param directory The path, or the `file:` URL, of a directory with `config.json` and `model.safetensors`, or shards with
 * their index; `tokenizer.json` or `tekken.json` is needed for text. Or the name of a repository, such as
 * `mistralai/Mistral-7B-Instruct-v0.3`, that `hf download` put into Hugging Face's cache.
 * @throws {DittoError} If there is no WebGPU device, the checkpoint is damaged or not supported, an option or the prompt
 * cannot be taken, or the device has not enough memory. Nothing stays on the GPU then, nor after an abort.
 */
export async function loadModel(
  directory: string | URL,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  const start = performance.now();
  const given = givenOptions(options, OPTIONS);
  checkSignal(given.signal);
  given.signal?.throwIfAborted();
  const path = await findModel(directoryPath(directory));
  using checkpoint = await openCheckpoint(path);
  const tokenizer = await loadTokenizer(path, checkpoint.config);
  return await loadFrom(checkpoint, tokenizer, { ...given, start, directory: path });
}

/**
 * Loads a model whose weights come from anywhere, such as made-up ones for a benchmark.
 *
 * @throws {DittoError} As {@linkcode loadModel} does.
 */
export async function loadFrom(
  source: WeightSource,
  tokenizer: Tokenizer | null,
  { start = performance.now(), directory = "", ...options }: LoadOptions & {
    readonly start?: number;
    readonly directory?: string | URL;
  } = {},
): Promise<LanguageModel> {
  const { config } = source;
  const { onProgress, signal } = options;
  const { context, kvCache, givenCosts, quantization, device } = check(
    options,
    config,
    tokenizer,
    directory,
  );
  const gpu = await openGpu(device);
  try {
    const layout = layOutWeights(
      config,
      (tensor) => quantizedType(tensor, quantization) ?? source.tensors.get(tensor)!.dtype,
      maxPartBytes(gpu.info),
    );
    const promptPrecision = checkPromptPrecision(options.promptPrecision, gpu.info);
    const d = dimensions(config, context, kvCache, promptPrecision, promptChunk(gpu.info));
    const others = (context: number) => generationBuffers(config.vocabSize, context);
    const memory = checkMemory(config, layout, d, gpu.info, others, availableBytes(gpu.info));
    const toError = (cause: GPUError) =>
      new DittoError(
        `${gpu.info.name} ran out of memory: the model needs ${megabytes(memory.total)} at a ` +
          `context of ${context} tokens. Ask for a smaller context` +
          `${quantization ? "" : " or quantized weights"}, or close what else uses the GPU.`,
        { cause, code: "memory" },
      );
    const upload = await gpu.unlessOutOfMemory(() => {
      const upload = new WeightUpload(gpu, source, layout);
      reserve(gpu, memory.total - upload.bufferBytes);
      return upload;
    }, toError);
    await upload.run(onProgress, signal);
    const remembered = await rememberedOf(gpu.info, [config, d, layout]);
    const known = await remembered.get();
    let compiler = new Compiler(gpu, known?.profile);
    let profile = known?.profile ?? null;
    // It takes longer than the costs of rows, so it is measured only where that is once for all.
    if (!givenCosts && !known && await remembered.isWritable()) {
      profile = await measureProfile(gpu, compiler, config, upload.weights, d, signal);
      if (profile) compiler = compiler.withProfile(profile);
    }
    const weights = compiler.profile.weightStorage === "texture"
      ? await gpu.unlessOutOfMemory(() => moveToTextures(gpu, upload.weights), toError)
      : upload.weights;
    const { vocabSize } = config;
    const [forward, engine] = await gpu.unlessOutOfMemory(() => {
      const forward = new Forward(gpu, compiler, config, weights, d);
      const words = tokenizer?.words(vocabSize);
      return [forward, new Engine(gpu, compiler, forward, vocabSize, context, words)];
    }, toError);
    await compiler.compile(signal);
    await engine.warmUp(signal);
    const longest = Math.min(context, config.slidingWindow ?? Infinity);
    const passTimes = givenCosts
      ? null
      : await engine.measurePassTimes(longest, known?.passTimes ?? null, signal);
    const maxRows = known?.maxRows ??
      (givenCosts ? MAX_ROWS : await losslessRows(gpu, { forward, vocabSize, context }, signal));
    if (profile && passTimes) await remembered.set({ profile, passTimes, maxRows });
    signal?.throwIfAborted();
    return new LanguageModel({
      config,
      context,
      memory,
      costsAt: (length) =>
        givenCosts ??
          (passTimes ? costsAt(passTimes, Math.min(length, longest)) : UNMEASURED_ROW_COSTS),
      profile: compiler.profile,
      maxDrafts: maxRows - 1,
      promptPrecision,
      loadMs: performance.now() - start,
      directory: directoryPath(directory),
      gpu,
      engine,
      tokenizer,
    });
  } catch (error) {
    gpu[Symbol.dispose]();
    throw error;
  }
}

/** Checks all that can be checked before there is a device, and fills in what depends on the checkpoint alone. */
function check(
  options: LoadOptions,
  config: MistralConfig,
  tokenizer: Tokenizer | null,
  directory: string | URL,
) {
  const prompt = options.prompt === undefined
    ? []
    : promptTokens(options.prompt, tokenizer, directory, config.vocabSize);
  const defaultContext = contextFor(prompt, maxNewTokensOf(options), config.maxPositionEmbeddings);
  const context = integer(options, "context", defaultContext, LEAST_CONTEXT, MAX_CONTEXT);
  checkFits(prompt, context);
  const { kvCache = "f16" } = options;
  if (kvCache !== "f16" && kvCache !== "f32") {
    throw inputError(`The option kvCache is ${show(kvCache)}: it must be "f16" or "f32".`);
  }
  const givenCosts = options.rowCosts === undefined ? null : checkRowCosts(options.rowCosts);
  checkProgress(options.onProgress);
  if (config.eosTokenIds.length > MAX_EOS) {
    throw new DittoError(
      `The checkpoint names ${config.eosTokenIds.length} tokens that end an answer (eos_token_id): ` +
        `${MAX_EOS} are supported.`,
    );
  }
  const quantization = checkQuantize(options.quantize, config.quantization);
  const device = deviceOptions(options.device);
  return { context, kvCache, givenCosts, quantization, device };
}

/** Bytes reserved in a piece at most. */
const RESERVED_BYTES = 128 << 20;

/**
 * Takes the memory that is needed once the weights have been read, and gives it back: a device that does not have it is to
 * be refused before.
 */
function reserve(gpu: Gpu, bytes: number): void {
  const pieces: GPUBuffer[] = [];
  const most = Math.min(RESERVED_BYTES, gpu.info.maxBufferBytes);
  for (let left = bytes; left > 0; left -= most) {
    pieces.push(gpu.buffer("reserved", Math.min(left, most)));
  }
  for (const piece of pieces) gpu.free(piece);
}

/** A software device's memory is the machine's; what a real GPU has, WebGPU does not tell. */
function availableBytes(device: DeviceInfo): number {
  const isKnown = device.isSoftware && isGranted({ name: "sys", kind: "systemMemoryInfo" });
  if (!isKnown) return Infinity;
  const { available, free } = Deno.systemMemoryInfo();
  return available || free; // on Windows Deno tells the latter only, and of the former 0
}

/** What is measured of a model on a device. */
interface Measured {
  readonly profile: Profile;
  readonly passTimes: PassTimes;
  /** Rows that a pass may have. */
  readonly maxRows: number;
}

/** What was measured before of a model on a device. `shape`: all that a model's speed depends on. */
function rememberedOf(
  device: DeviceInfo,
  shape: readonly unknown[],
): Promise<Remembered<Measured>> {
  const cores = navigator.hardwareConcurrency; // which are the device where that is software
  return Remembered.at(
    JSON.stringify([device, cores, Deno.version.deno, ...shape, allSources()]),
    (value): value is Measured => isMeasured(value, device),
  );
}

function isMeasured(value: unknown, device: DeviceInfo): value is Measured {
  const { profile, passTimes, maxRows } = Object(value);
  return isProfile(profile, device) && isPassTimes(passTimes) && isLosslessRows(maxRows);
}
