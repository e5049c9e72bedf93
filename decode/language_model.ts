/**
 * A model, ready to generate: checkpoint, tokenizer and engine on one device.
 *
 * @module
 */
import { type DeviceInfo, type Gpu, openGpu, type OpenOptions } from "../kernels/device.ts";
import { allSources, Compiler, isProfile, MAX_ROWS, type Profile } from "../kernels/stages.ts";
import { directoryPath, openCheckpoint } from "../model/checkpoint.ts";
import type { MistralConfig } from "../model/config.ts";
import { DittoError, show } from "../model/errors.ts";
import { Forward } from "../model/forward.ts";
import { layOutWeights } from "../model/layout.ts";
import { type Quantization, quantizedType } from "../model/quantization.ts";
import {
  checkMemory,
  dimensions,
  type MemoryNeed,
  promptChunk,
  type PromptPrecision,
} from "../model/memory.ts";
import {
  loadTokenizer,
  type Message,
  requireTokenizer,
  type Tokenizer,
} from "../model/tokenizer.ts";
import { type LoadProgress, loadWeights, type WeightSource } from "../model/weights.ts";
import { Engine } from "./engine.ts";
import { type GenerateOptions, Generation } from "./generation.ts";
import { measureProfile } from "./device_profile.ts";
import { Remembered } from "./remembered.ts";
import {
  isRowCosts,
  isRowTimes,
  rowCosts,
  type RowTimes,
  UNMEASURED_ROW_COSTS,
} from "./row_costs.ts";
import { GREEDY, type SamplingOptions } from "./sampling.ts";
import { generationBuffers } from "./state.ts";

/** How to load a model. */
export interface LoadOptions {
  /**
   * Tokens that prompt and answer may have together; the KV cache grows with it up to the sliding window.
   * Default: the checkpoint's `max_position_embeddings`, but not more than 4096.
   */
  readonly context?: number;
  /** Precision of the KV cache. Default "f16". */
  readonly kvCache?: "f16" | "f32";
  /**
   * Keeps weights in fewer bits: "q8" in 8, "q4" most of them in 4 and the others in 8, with scales in half a
   * bit more. Half or a third of the memory to hold and to read, at some loss of quality. Default: as the
   * checkpoint has them.
   */
  readonly quantize?: Quantization;
  /**
   * What prompts are multiplied in. "f16" is faster where a GPU computes in f16 faster than in f32, and less exact
   * (an error of 0.1% of a product's size, about what rounding its inputs to bf16 makes). Prompts only: the
   * answer's own passes are in f32. Default: "f16" on a GPU that has `shader-f16`, else "f32".
   */
  readonly promptPrecision?: PromptPrecision;
  /** Called as weights are loaded. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /**
   * What passes of 1, 2, … 32 rows cost relative to one row: lookup drafts what is worth its cost. Default: what
   * is measured on the device, once for each device and shape of model.
   */
  readonly rowCosts?: readonly number[];
  /** How to open the GPU; for tests. */
  readonly device?: OpenOptions;
}

const DEFAULT_CONTEXT = 4096;
/** Drafts of a pass at most, unless the caller says otherwise: the tree takes no more than pay. */
const DRAFTS = { original: 10, tree: MAX_ROWS - 1 } as const;

/** A loaded model. Dispose of it to free its GPU memory: `using model = await loadModel(…)`. */
export class LanguageModel implements Disposable, AsyncDisposable {
  /** The model's shape, from `config.json` and `generation_config.json`. */
  readonly config: MistralConfig;
  /** The device it runs on. */
  readonly device: DeviceInfo;
  /** Tokens that prompt and answer may have together. */
  readonly context: number;
  /** GPU memory it takes, in bytes. */
  readonly memory: MemoryNeed;
  /** What passes of 1, 2, … 32 rows cost relative to one row. */
  readonly rowCosts: readonly number[];
  /** What prompts are multiplied in. */
  readonly promptPrecision: PromptPrecision;
  /** Milliseconds that loading took. */
  readonly loadMs: number;
  #directory: string;
  #gpu: Gpu;
  #engine: Engine;
  #tokenizer: Tokenizer | null;
  #isDisposed = false;

  /** Use {@linkcode loadModel}. */
  constructor(
    parts:
      & Pick<
        LanguageModel,
        "config" | "context" | "memory" | "rowCosts" | "promptPrecision" | "loadMs"
      >
      & {
        directory: string;
        gpu: Gpu;
        engine: Engine;
        tokenizer: Tokenizer | null;
      },
  ) {
    this.config = parts.config;
    this.device = parts.gpu.info;
    this.context = parts.context;
    this.memory = parts.memory;
    this.rowCosts = parts.rowCosts;
    this.promptPrecision = parts.promptPrecision;
    this.loadMs = parts.loadMs;
    this.#directory = parts.directory;
    this.#gpu = parts.gpu;
    this.#engine = parts.engine;
    this.#tokenizer = parts.tokenizer;
  }

  /** Whether the checkpoint has a tokenizer; without one prompts and answers are token ids. */
  get hasTokenizer(): boolean {
    return this.#tokenizer !== null;
  }

  /** Buffers mapped for reading so far; the decoding loop never waits for one between submissions. */
  get readBacks(): number {
    return this.#gpu.readBacks;
  }

  /**
   * Turns text into token ids, with the special tokens that the tokenizer puts around a text (usually
   * begin-of-sequence), or a chat into the token ids of the checkpoint's chat template.
   *
   * @throws {DittoError} If the checkpoint has no tokenizer, or no chat template for a chat.
   */
  tokenize(prompt: string | readonly Message[]): number[] {
    const tokenizer = requireTokenizer(this.#tokenizer, this.#directory);
    return typeof prompt === "string" ? tokenizer.encode(prompt) : tokenizer.encodeChat(prompt);
  }

  /**
   * Turns token ids into text, special tokens left out.
   *
   * @throws {DittoError} If the checkpoint has no tokenizer.
   */
  detokenize(tokens: Iterable<number>): string {
    return requireTokenizer(this.#tokenizer, this.#directory).decode(tokens);
  }

  /**
   * What each of some tokens in a row adds to their text, special tokens by their names. A character that
   * several tokens make comes with the last of them.
   *
   * @throws {DittoError} If the checkpoint has no tokenizer.
   */
  tokenTexts(tokens: Iterable<number>): string[] {
    const tokenizer = requireTokenizer(this.#tokenizer, this.#directory);
    const decoder = tokenizer.streamDecoder({ skipSpecialTokens: false });
    return Array.from(tokens, (token) => decoder.push([token]));
  }

  /**
   * Generates an answer.
   *
   * @param prompt Text, the turns of a chat, or token ids, which are taken as they are.
   * @throws {DittoError} If the prompt is empty or does not fit the context, a token id or an option is
   * out of range, or the model was disposed of.
   */
  generate(
    prompt: string | readonly Message[] | readonly number[],
    options: GenerateOptions = {},
  ): Generation {
    if (this.#isDisposed) throw new DittoError("The model was disposed of; load it again.");
    const ids = isTokens(prompt) ? [...prompt] : this.tokenize(prompt);
    this.#checkPrompt(ids);
    const { replay, drafter = "tree" } = options;
    if (!Object.hasOwn(DRAFTS, drafter)) {
      throw new DittoError(
        `The option drafter is ${show(drafter)}: it must be "original" or "tree".`,
      );
    }
    if (replay) this.#checkTokens(replay, "recorded answer");
    const room = Math.min(this.context - ids.length, replay?.length ?? Infinity);
    const maxNewTokens = integer(options, "maxNewTokens", 256, 1, Number.MAX_SAFE_INTEGER);
    return new Generation(
      this.#engine,
      this.#tokenizer,
      ids,
      {
        maxNewTokens: Math.min(maxNewTokens, room),
        drafter,
        numDraft: integer(options, "promptLookupNumTokens", DRAFTS[drafter], 0, MAX_ROWS - 1),
        rowCosts: this.rowCosts,
        maxNgram: integer(options, "maxMatchingNgramSize", 3, 1, 15),
        batchesAhead: integer(options, "submissionsAhead", 2, 1, 8),
        eos: options.ignoreEos ? [] : this.config.eosTokenIds,
        sampling: this.#sampling(options),
        ...(replay && { replay: [...ids, ...replay.slice(0, room)] }),
        logits: options.logitsDigest ?? false,
        ...(options.signal && { signal: options.signal }),
      },
      this.#stops(options.stop ?? []),
    );
  }

  #sampling(options: GenerateOptions): SamplingOptions {
    return {
      temperature: number(options, "temperature", GREEDY.temperature, 0, 100),
      topK: integer(options, "topK", GREEDY.topK, 0, 2 ** 32 - 1),
      topP: number(options, "topP", GREEDY.topP, Number.MIN_VALUE, 1),
      minP: number(options, "minP", GREEDY.minP, 0, 1),
      repetitionPenalty: number(options, "repetitionPenalty", GREEDY.repetitionPenalty, 0.01, 100),
      seed: integer(options, "seed", GREEDY.seed, 0, 2 ** 32 - 1),
    };
  }

  #stops(stop: string | readonly string[]): readonly string[] {
    const stops = typeof stop === "string" ? [stop] : stop;
    if (stops.length > 0) requireTokenizer(this.#tokenizer, this.#directory);
    for (const text of stops) {
      if (typeof text !== "string" || text === "") {
        throw new DittoError(
          `A stop string is ${show(text)}: it must be a text of one character or more.`,
        );
      }
    }
    return stops;
  }

  #checkTokens(ids: readonly number[], what: string): void {
    if (ids.length === 0) throw new DittoError(`The ${what} is empty: give at least one token.`);
    const { vocabSize } = this.config;
    ids.forEach((id, i) => {
      if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
        throw new DittoError(
          `Token ${i} of the ${what} is ${show(id)}: the model has tokens 0 to ${vocabSize - 1}.`,
        );
      }
    });
  }

  #checkPrompt(ids: readonly number[]): void {
    this.#checkTokens(ids, "prompt");
    if (ids.length >= this.context) {
      throw new DittoError(
        `The prompt has ${ids.length} tokens, and the context holds ${this.context}, answer included: ` +
          `load the model with a larger context, or shorten the prompt.`,
      );
    }
  }

  /** Frees the GPU memory. Doing it twice is harmless. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#engine[Symbol.dispose]();
    this.#gpu[Symbol.dispose]();
  }

  /** Frees the GPU memory. */
  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }
}

/**
 * Loads a model from a Hugging Face checkpoint directory.
 *
 * @param directory A directory with `config.json` and `model.safetensors`, or shards with their index;
 * `tokenizer.json` is needed for text.
 * @throws {DittoError} If there is no WebGPU device, the checkpoint is damaged or not supported, or the
 * device has not enough memory. Nothing stays on the GPU then.
 */
export async function loadModel(
  directory: string | URL,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  const start = performance.now();
  using checkpoint = await openCheckpoint(directory);
  const tokenizer = await loadTokenizer(directory, checkpoint.config);
  return await loadFrom(checkpoint, tokenizer, { ...options, start, directory });
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
  const defaultContext = Math.min(config.maxPositionEmbeddings, DEFAULT_CONTEXT);
  const context = integer(options, "context", defaultContext, 2, 2 ** 24);
  const { kvCache = "f16" } = options;
  if (kvCache !== "f16" && kvCache !== "f32") {
    throw new DittoError(`The option kvCache is ${show(kvCache)}: it must be "f16" or "f32".`);
  }
  const givenCosts = options.rowCosts && checkRowCosts(options.rowCosts);
  const quantization = checkQuantize(options.quantize, config.quantization);
  const gpu = await openGpu(options.device);
  try {
    const layout = layOutWeights(
      config,
      (tensor) => quantizedType(tensor, quantization) ?? source.tensors.get(tensor)!.dtype,
      Math.min(gpu.info.maxBindingBytes, gpu.info.maxBufferBytes),
    );
    const promptPrecision = checkPromptPrecision(options.promptPrecision, gpu.info);
    const chunk = promptChunk(gpu.info);
    const d = dimensions(config, context, kvCache, promptPrecision, chunk);
    const memory = checkMemory(
      config,
      layout,
      d,
      gpu.info,
      generationBuffers(config.vocabSize, context),
      availableBytes(gpu.info),
    );
    gpu.device.pushErrorScope("out-of-memory");
    const weights = await loadWeights(gpu, source, layout, options.onProgress);
    const cores = navigator.hardwareConcurrency; // which are the device where that is software
    const remembered = givenCosts ? null : await Remembered.at(
      JSON.stringify([gpu.info, cores, Deno.version.deno, config, d, layout, allSources()]),
      (value): value is Measured => isMeasured(value, gpu.info),
    );
    const known = await remembered?.get() ?? null;
    let compiler = new Compiler(gpu, known?.profile);
    let profile = known?.profile ?? null;
    // It takes longer than the costs of rows, so it is measured only where that is once for all.
    if (remembered?.isWritable && !known) {
      profile = await measureProfile(gpu, compiler, config, weights, d);
      if (profile) compiler = compiler.withProfile(profile);
    }
    const forward = new Forward(gpu, compiler, config, weights, d);
    const engine = new Engine(gpu, compiler, forward, config.vocabSize, context);
    await engine.warmUp();
    const rowTimes = remembered ? await engine.measureRowTimes(known?.rowTimes ?? null) : null;
    if (profile && rowTimes) await remembered?.set({ profile, rowTimes });
    const outOfMemory = await gpu.device.popErrorScope();
    if (outOfMemory) {
      throw new DittoError(
        `${gpu.info.name} ran out of memory: the model needs ${memory.total} bytes at a context of ` +
          `${context} tokens. Ask for a smaller context, or close what else uses the GPU.`,
        { cause: outOfMemory },
      );
    }
    return new LanguageModel({
      config,
      context,
      memory,
      rowCosts: givenCosts ?? (rowTimes ? rowCosts(rowTimes) : UNMEASURED_ROW_COSTS),
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

/** A software device's memory is the machine's; what a real GPU has, WebGPU does not tell. */
function availableBytes(device: DeviceInfo): number {
  return device.isSoftware ? Deno.systemMemoryInfo().available : Infinity;
}

function checkQuantize(
  wanted: Quantization | undefined,
  found: Quantization | null,
): Quantization | null {
  if (wanted === undefined || wanted === found) return found;
  if (wanted !== "q8" && wanted !== "q4") {
    throw new DittoError(`The option quantize is ${show(wanted)}: it must be "q8" or "q4".`);
  }
  if (found === null) return wanted;
  throw new DittoError(
    `The checkpoint holds its weights in ${found} and cannot be quantized to ${wanted}: load it as it is, ` +
      `or quantize the checkpoint it was made from.`,
  );
}

function checkPromptPrecision(
  wanted: PromptPrecision | undefined,
  { hasF16, isSoftware, name }: DeviceInfo,
): PromptPrecision {
  // A CPU that plays the device has no f16 and makes each operation from several.
  const precision = wanted ?? (hasF16 && !isSoftware ? "f16" : "f32");
  if (precision !== "f16" && precision !== "f32") {
    throw new DittoError(
      `The option promptPrecision is ${show(precision)}: it must be "f16" or "f32".`,
    );
  }
  if (precision === "f32" || hasF16) return precision;
  throw new DittoError(
    `The option promptPrecision is "f16", and ${name} does not compute in f16 (it lacks the feature ` +
      `shader-f16): leave the option out, or ask for "f32".`,
  );
}

function checkRowCosts(costs: readonly number[]): readonly number[] {
  if (isRowCosts(costs)) return costs;
  throw new DittoError(
    `The option rowCosts is ${
      show(costs)
    }: it must be ${MAX_ROWS} numbers from 1 to 1000, the first 1 and ` +
      `none below the one before it.`,
  );
}

/** What is measured of a model on a device. */
interface Measured {
  readonly profile: Profile;
  readonly rowTimes: RowTimes;
}

function isMeasured(value: unknown, device: DeviceInfo): value is Measured {
  const { profile, rowTimes } = Object(value);
  return isProfile(profile, device) && isRowTimes(rowTimes);
}

function isTokens(
  prompt: string | readonly Message[] | readonly number[],
): prompt is readonly number[] {
  return typeof prompt !== "string" && typeof prompt[0] !== "object";
}

function number<Name extends string>(
  options: { readonly [K in Name]?: unknown },
  name: Name,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = options[name] ?? fallback;
  if (typeof value === "number" && value >= min && value <= max) return value;
  const least = min === Number.MIN_VALUE ? "above 0" : `from ${min}`;
  throw new DittoError(
    `The option ${name} is ${show(value)}: it must be a number ${least} to ${max}.`,
  );
}

function integer<Name extends string>(
  options: { readonly [K in Name]?: unknown },
  name: Name,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = options[name] ?? fallback;
  if (Number.isInteger(value) && value as number >= min && value as number <= max) {
    return value as number;
  }
  throw new DittoError(
    `The option ${name} is ${show(value)}: it must be an integer from ${min} to ${max}.`,
  );
}
