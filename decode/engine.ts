/**
 * The decoding loop: steps are submitted ahead of what has been read, and the GPU alone decides what each
 * of them does. A step is the same list of dispatches whatever it drafts, accepts or stops at.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { Compiler, type Dispatch, encode } from "../kernels/compiler.ts";
import { MAX_ROWS, SLICE, type Stage } from "../kernels/stages.ts";
import { DittoError } from "../model/errors.ts";
import type { Forward } from "../model/forward.ts";
import { Capture } from "./capture.ts";
import { Drafters, type DraftOptions } from "./drafters.ts";
import { PromptCache } from "./prompt_cache.ts";
import { measurePassTimes, type PassTimes } from "./row_costs.ts";
import { chain, rowWords } from "./rows.ts";
import {
  GREEDY,
  isPlainArgmax,
  SAMPLING_BYTES,
  type SamplingOptions,
  samplingUniform,
  seenTokens,
} from "./sampling.ts";
import {
  type GenerationBuffer,
  generationBuffers,
  initialState,
  MAX_EOS,
  parseResults,
  type PassResult,
  RESULT_BYTES,
  RING,
} from "./state.ts";

/** Steps of one submission at most. */
const MAX_BATCH = 16;
/** A submission should not take longer than this, so that slow devices stream too. In milliseconds. */
const MAX_BATCH_MS = 100;
/** Steps submitted for each that the answer is likely to need: waiting for one more costs more than an idle one. */
const SURPLUS = 1.25;

/** What a generation is to do. */
export interface EngineOptions extends DraftOptions {
  /** Tokens to append at most. */
  readonly maxNewTokens: number;
  /** Tokens that end the answer. */
  readonly eos: readonly number[];
  /** Submissions that may be under way before the oldest is read. Default 2. */
  readonly batchesAhead?: number;
  /** Ends the generation early. */
  readonly signal?: AbortSignal;
  /** How tokens are chosen. Default: greedily. */
  readonly sampling?: SamplingOptions;
  /** Prompt and recorded answer, whose tokens are taken in place of the model's own choices: for benchmarks. */
  readonly replay?: readonly number[];
  /** Whether to read back the logits row that chose each token. Default: they stay on the GPU. */
  readonly logits?: boolean;
  /** Whether to take the keys and values that the prompt before left, as far as both begin alike. Default true. */
  readonly cachePrompt?: boolean;
  /** Called once, before the prompt goes through, with the tokens that need not: their keys and values are there. */
  readonly onCached?: (tokens: number) => void;
  /** Called once, when the prompt has gone through. */
  readonly onPrefilled?: () => void;
}

/** A pass, with the logits that chose its tokens where they were asked for. */
export interface Pass extends PassResult {
  /** One row of vocab_size f32, little-endian, for each token. */
  readonly logits?: readonly Uint8Array[];
}

/** Decodes with one model on one device, one generation at a time. */
export class Engine implements Disposable {
  #gpu: Gpu;
  #compiler: Compiler;
  #forward: Forward;
  #vocabSize: number;
  #context: number;
  #buffers: Record<GenerationBuffer, GPUBuffer>;
  #drafters: Drafters;
  #promptCache: PromptCache;
  #choose: Choice;
  #sample: Choice;
  #replay: Choice;
  #sampling: GPUBuffer;
  #accept: Dispatch;
  #isBusy = false;
  #isDisposed = false;

  /** Compiles the stages around the forward pass and allocates the generation's buffers. */
  constructor(
    gpu: Gpu,
    compiler: Compiler,
    forward: Forward,
    vocabSize: number,
    context: number,
  ) {
    const slices = Math.ceil(vocabSize / SLICE);
    const { rows, logits } = forward;
    const b = {} as Record<GenerationBuffer, GPUBuffer>;
    for (const [name, bytes] of Object.entries(generationBuffers(vocabSize, context))) {
      b[name as GenerationBuffer] = gpu.buffer(name, bytes);
    }
    this.#gpu = gpu;
    this.#compiler = compiler;
    this.#forward = forward;
    this.#vocabSize = vocabSize;
    this.#context = context;
    this.#buffers = b;
    this.#drafters = new Drafters(gpu, compiler, rows, b);
    this.#promptCache = new PromptCache(forward.capacity);
    this.#sampling = gpu.uniform("sampling options", new Array(SAMPLING_BYTES / 4).fill(0));
    const bound = (
      stage: Stage,
      constants: Record<string, number>,
      ...buffers: GPUBuffer[]
    ) => {
      const kernel = compiler.kernel(stage, {}, constants);
      return { kernel, bindings: kernel.bind(...buffers) };
    };
    const [VOCAB, SLICES] = [vocabSize, slices];
    const spread = (maxRows: number) => Math.min(maxRows, compiler.profile.spread);
    const choose = bound("choose", { VOCAB }, rows, logits, b.best);
    this.#choose = (maxRows) => ({ ...choose, workgroups: [slices, spread(maxRows)] });
    const sampled = [rows, logits, b.best, b.seen, this.#sampling];
    const sample = bound("sample", { VOCAB, SLICES }, ...sampled);
    this.#sample = (maxRows) => ({ ...sample, workgroups: [spread(maxRows)] });
    const replay = bound("replay", { SLICES }, rows, b.recorded, b.best);
    this.#replay = () => ({ ...replay, workgroups: [1] });
    const accepted = [b.state, b.tokens, rows, b.best, b.sources, b.ends, b.results, b.seen];
    this.#accept = { ...bound("accept", { SLICES, RING }, ...accepted), workgroups: [1] };
  }

  /**
   * Appends tokens to a prompt.
   *
   * @param prompt Token ids, at least one; prompt and answer must fit the context.
   * @returns The passes, each as soon as the CPU knows of it. Ends without a stop when aborted.
   * @throws {DittoError} If the device is lost or disposed of, or the model is busy with another generation.
   */
  async *run(prompt: readonly number[], options: EngineOptions): AsyncGenerator<Pass> {
    if (this.#isBusy) {
      throw new DittoError(
        "The model is in the middle of another generation: read that one to its end, leave its loop, or " +
          "dispose of it, first.",
      );
    }
    this.#checkDisposed();
    this.#isBusy = true;
    const batches: Promise<Pass[]>[] = [];
    const staging: GPUBuffer[] = [];
    let capture: Capture | null = null;
    let written = prompt.length; // tokens of the text, passes that nobody reads included
    try {
      const batchesAhead = options.batchesAhead ?? 2;
      if (options.logits) capture = await this.#makeCapture(staging, batchesAhead);
      let read = 0; // steps
      let since = 0; // when the steps began that are not read yet
      const onPrefilled = () => {
        if (read === 0) since = performance.now(); // the first steps begin now
        options.onPrefilled?.();
      };
      const draft = await this.#begin(prompt, { ...options, onPrefilled });
      since = performance.now();
      const { maxNewTokens, numDraft, signal } = options;
      const choose = options.replay
        ? this.#replay
        : isPlainArgmax(options.sampling ?? GREEDY)
        ? this.#choose
        : this.#sample;
      const limit = prompt.length + maxNewTokens;
      const maxBatch = Math.min(MAX_BATCH, capture?.steps ?? MAX_BATCH);
      let batch = 1;
      let submitted = 0; // steps
      let length = prompt.length; // tokens known of
      let isOver = maxNewTokens === 0;
      while (!isOver && !signal?.aborted) {
        while (batches.length < batchesAhead) {
          // Steps after the last token do nothing, but their dispatches take time all the same.
          const made = length - prompt.length;
          const rate = Math.max(1, made / read || 1);
          const needed = Math.ceil((maxNewTokens - made) / rate * (rate > 1 ? SURPLUS : 1));
          const missing = Math.min(needed - (submitted - read), maxNewTokens - submitted);
          if (missing <= 0 && batches.length > 0) break;
          const steps = Math.max(1, Math.min(batch, missing));
          const bound = length + (submitted + steps - read) * (1 + numDraft);
          batches.push(this.#submit(
            { first: submitted, steps, maxRows: 1 + numDraft, maxLength: Math.min(limit, bound) },
            staging,
            draft,
            choose,
            capture,
          ));
          // Its failure is seen when it is awaited; until then it is not an unhandled one.
          batches.at(-1)!.catch(() => {});
          submitted += steps;
          batch = Math.min(batch * 2, maxBatch);
        }
        const before = read;
        const passes = await batches.shift()!;
        written += tokensOf(passes);
        for (const pass of passes) {
          read = pass.pass + 1;
          length += pass.tokens.length;
          if (pass.stop) isOver = true;
          yield pass;
        }
        const now = performance.now();
        const stepMs = (now - since) / Math.max(1, read - before);
        since = now;
        batch = Math.max(1, Math.min(batch, Math.floor(MAX_BATCH_MS / stepMs)));
      }
    } finally {
      for (const batch of await Promise.allSettled(batches)) {
        if (batch.status === "fulfilled") written += tokensOf(batch.value);
      }
      this.#promptCache.reach(written);
      for (const buffer of staging) this.#gpu.free(buffer);
      capture?.[Symbol.dispose]();
      this.#isBusy = false;
    }
  }

  /** Runs every stage once without effect, so that drivers that compile at first use do it now. */
  async warmUp(): Promise<void> {
    await this.#forward.prefill([0], 0);
    this.#gpu.device.queue.writeBuffer(this.#buffers.state, 0, initialState(1, 1, "length"));
    const staging: GPUBuffer[] = [];
    for (const [first, choose] of [this.#choose, this.#sample].entries()) {
      const batch = { first, steps: 1, maxRows: 1, maxLength: 1 };
      await this.#submit(batch, staging, this.#drafters.all, choose, null);
    }
    for (const buffer of staging) this.#gpu.free(buffer);
  }

  /**
   * Times passes of 1 to 32 rows.
   *
   * @param longest Tokens that a row can see at most.
   * @param known What earlier runs found.
   * @returns Null where the device has no clock.
   */
  async measurePassTimes(longest: number, known: PassTimes | null): Promise<PassTimes | null> {
    const timed = (length: number) => ({
      setRows: (count: number) => {
        const base = Math.max(0, length - MAX_ROWS);
        const rows = rowWords(chain(0, new Array(count - 1).fill(0)), base);
        this.#gpu.device.queue.writeBuffer(this.#forward.rows, 0, rows);
      },
      encode: (pass: GPUComputePassEncoder) => {
        this.#forward.encode(pass, MAX_ROWS, length);
        encode(pass, [this.#choose(MAX_ROWS)]);
      },
    });
    return await measurePassTimes(this.#gpu, timed, longest, known);
  }

  /**
   * Puts the prompt in place and runs it through the model, except for its last token: that is row 0.
   *
   * @returns What each step begins with.
   */
  async #begin(
    prompt: readonly number[],
    options: EngineOptions,
  ): Promise<readonly Dispatch[]> {
    const { queue } = this.#gpu.device;
    const b = this.#buffers;
    const { eos, maxNewTokens, signal, cachePrompt = true } = options;
    const sampling = options.sampling ?? GREEDY;
    if (prompt.length + maxNewTokens > this.#context) {
      throw new RangeError(`${prompt.length} + ${maxNewTokens} tokens exceed ${this.#context}`);
    }
    const draft = this.#drafters.begin(options);
    queue.writeBuffer(b.tokens, 0, new Uint32Array(prompt));
    queue.writeBuffer(b.state, 0, initialState(prompt.length, prompt.length + maxNewTokens));
    queue.writeBuffer(this.#sampling, 0, samplingUniform(sampling));
    queue.writeBuffer(b.seen, 0, seenTokens(prompt, this.#vocabSize));
    if (options.replay) queue.writeBuffer(b.recorded, 0, new Uint32Array(options.replay));
    if (eos.length > MAX_EOS) throw new RangeError(`${eos.length} tokens that end an answer`);
    queue.writeBuffer(b.ends, 0, new Uint32Array([eos.length, ...eos]));
    const { rows } = this.#forward;
    queue.writeBuffer(rows, 0, new Uint8Array(rows.size)); // nothing to commit yet
    const tokens = prompt.slice(0, -1);
    const cached = this.#promptCache.begin(tokens);
    const first = cachePrompt ? cached : 0;
    options.onCached?.(first);
    // One chunk is under way while the next is encoded; an abort waits for no more than that.
    let earlier = Promise.resolve<unknown>(undefined);
    const through = await this.#forward.prefill(tokens, first, async () => {
      await this.#guard(earlier);
      earlier = queue.onSubmittedWorkDone();
      earlier.catch(() => {});
      return !signal?.aborted;
    });
    this.#promptCache.end(tokens.slice(0, through));
    queue.onSubmittedWorkDone().then(() => options.onPrefilled?.(), () => {});
    return draft;
  }

  /** Makes room for logits, here and in as many buffers for reading them back. */
  async #makeCapture(staging: GPUBuffer[], batches: number): Promise<Capture> {
    const { rows, logits } = this.#forward;
    const buffers = { state: this.#buffers.state, rows, logits };
    using made = new DisposableStack();
    const capture = await this.#gpu.unlessOutOfMemory(() => {
      const vocabSize = this.#vocabSize;
      const capture = new Capture(this.#gpu, this.#compiler, buffers, vocabSize, MAX_BATCH);
      made.use(capture);
      while (staging.length < batches) staging.push(this.#makeStaging(capture));
      return capture;
    }, (cause) =>
      new DittoError(
        `${this.#gpu.info.name} has no memory left to read logits back: do without their digest, or ` +
          `load the model with a smaller context.`,
        { cause },
      ));
    made.move();
    return capture;
  }

  /** Room for the results of a batch. */
  #makeStaging(capture: Capture | null): GPUBuffer {
    const captureBytes = capture ? capture.steps * capture.stepBytes : 0;
    return this.#gpu.buffer(
      "staging",
      MAX_BATCH * RESULT_BYTES + captureBytes,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    );
  }

  /** Submits a batch of steps and reads their results when they are there. */
  async #submit(
    batch: { first: number; steps: number; maxRows: number; maxLength: number },
    staging: GPUBuffer[],
    draft: readonly Dispatch[],
    choose: Choice,
    capture: Capture | null,
  ): Promise<Pass[]> {
    const { device } = this.#gpu;
    const resultBytes = MAX_BATCH * RESULT_BYTES;
    const target = staging.pop() ?? this.#makeStaging(capture);
    const step = [
      ...draft,
      ...this.#forward.dispatches(batch.maxRows, batch.maxLength),
      choose(batch.maxRows),
      this.#accept,
      ...(capture ? [capture.dispatch(batch.maxRows)] : []),
    ];
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < batch.steps; i++) {
      const pass = encoder.beginComputePass();
      encode(pass, step);
      pass.end();
    }
    // The ring's slots in a row, which may go on at its beginning.
    for (let i = 0; i < batch.steps;) {
      const slot = (batch.first + i) % RING;
      const count = Math.min(batch.steps - i, RING - slot);
      const [from, to] = [slot * RESULT_BYTES, i * RESULT_BYTES];
      encoder.copyBufferToBuffer(this.#buffers.results, from, target, to, count * RESULT_BYTES);
      i += count;
    }
    capture?.copy(encoder, batch.first, batch.steps, target, resultBytes);
    device.queue.submit([encoder.finish()]);
    const used = resultBytes + (capture ? batch.steps * capture.stepBytes : 0);
    const passes = await this.#guard(this.#gpu.map(target, used, (mapped): Pass[] => {
      const words = new Uint32Array(mapped, 0, batch.steps * RESULT_BYTES / 4);
      const passes = parseResults(words, batch.first);
      if (!capture) return passes;
      return passes.map((pass, i) => {
        return { ...pass, logits: capture.logits(mapped, resultBytes, i, pass.tokens.length) };
      });
    }));
    staging.push(target);
    return passes;
  }

  #checkDisposed(): void {
    if (this.#isDisposed) throw new DittoError("The model was disposed of; load it again.");
  }

  /** Ends the generation under way with an error, once the device is disposed of too. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
  }

  /** Waits for the GPU, or for its loss. */
  async #guard<T>(work: Promise<T>): Promise<T> {
    const failed = (what: string) =>
      new DittoError(
        `The GPU device (${this.#gpu.info.name}) ${what}. This happened in the middle of a generation: ` +
          `load the model again.`,
      );
    try {
      return await this.#gpu.unlessFailed(work, failed);
    } catch (error) {
      if (!(error instanceof DittoError)) this.#checkDisposed();
      throw error;
    }
  }
}

/** Tokens that passes appended. */
function tokensOf(passes: readonly Pass[]): number {
  return passes.reduce((sum, { tokens }) => sum + tokens.length, 0);
}

/** The dispatch that chooses a token for each of up to so many rows. */
type Choice = (maxRows: number) => Dispatch;
