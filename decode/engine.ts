/**
 * The decoding loop: steps are submitted ahead of what has been read, and the GPU alone decides what each
 * of them does. A step is the same list of dispatches whatever it drafts, accepts or stops at.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { Compiler, type Dispatch, encode, submit } from "../kernels/compiler.ts";
import { MAX_ROWS, SLICE, type Stage } from "../kernels/stages.ts";
import { turn } from "../kernels/turn.ts";
import { DittoError } from "../model/errors.ts";
import type { Forward } from "../model/forward.ts";
import { Capture } from "./capture.ts";
import { Drafters, type DraftOptions } from "./drafters.ts";
import {
  type Batch,
  encodeBatch,
  Flight,
  type Pass,
  readBatch,
  stagingBuffer,
  tokensOf,
} from "./flight.ts";
import { MAX_BATCH, Pacing } from "./pacing.ts";
import { PromptCache } from "./prompt_cache.ts";
import { measurePassTimes, type PassTimes } from "./row_costs.ts";
import { chain, rowWords } from "./rows.ts";
import {
  GREEDY,
  isPlainArgmax,
  type Sampling,
  SAMPLING_BYTES,
  samplingUniform,
  seenTokens,
} from "./sampling.ts";
import { type GenerationBuffer, generationBuffers, initialState, MAX_EOS, RING } from "./state.ts";
import { ownWords } from "./tree_buffers.ts";

/** Submissions at most whose results have not been read, whatever is asked for. */
export const MAX_AHEAD = 8;
/** How long an abort, and whatever else the program waits for, may have to wait for a prompt's work under way. */
const PATIENCE_MS = 100;

/** What a generation is to do. */
export interface EngineOptions extends DraftOptions {
  /** Tokens to append at most. */
  readonly maxNewTokens: number;
  /** Tokens that end the answer. */
  readonly eos: readonly number[];
  /** Submissions at most whose results have not been read, 1 to {@linkcode MAX_AHEAD}. */
  readonly submissionsAhead: number;
  /** Ends the generation early. */
  readonly signal?: AbortSignal;
  /** How tokens are chosen. Default: greedily. */
  readonly sampling?: Sampling;
  /** Prompt and recorded answer, whose tokens are taken in place of the model's own choices: for benchmarks. */
  readonly replay?: readonly number[];
  /** Whether to read back the logits row that chose each token. Default: they stay on the GPU. */
  readonly logits?: boolean;
  /** Whether to take the keys and values that the prompt before left, as far as both begin alike. Default true. */
  readonly cachePrompt?: boolean;
  /** Called once, when the prompt begins to go through, with the tokens that need not: their keys and values are there. */
  readonly onCached?: (tokens: number) => void;
  /** Called once, when the prompt has gone through. */
  readonly onPrefilled?: () => void;
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
  #staging: readonly GPUBuffer[]; // for results without logits
  #stepMs = Infinity; // of the generation before; at first, of a pass of one row
  #submissionMs = Infinity; // of the last prompt that was waited for
  #isBusy = false;
  #isIdling = false; // steps after a stop, which do nothing, may still be under way
  #isDisposed = false;

  /**
   * Allocates the generation's buffers, and binds the stages around the forward pass; the compiler compiles them later.
   *
   * @param words `Tokenizer.words`: which tokens the tree takes for the same. Default: each for itself alone.
   */
  constructor(
    gpu: Gpu,
    compiler: Compiler,
    forward: Forward,
    vocabSize: number,
    context: number,
    words: Uint32Array<ArrayBuffer> = ownWords(vocabSize),
  ) {
    const slices = Math.ceil(vocabSize / SLICE);
    const { rows, logits } = forward;
    const b = {} as Record<GenerationBuffer, GPUBuffer>;
    for (const [name, bytes] of Object.entries(generationBuffers(vocabSize, context))) {
      b[name as GenerationBuffer] = gpu.buffer(name, bytes);
    }
    gpu.device.queue.writeBuffer(b.words, 0, words);
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
    this.#staging = Array.from({ length: MAX_AHEAD }, () => stagingBuffer(gpu, null));
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
        { code: "busy" },
      );
    }
    this.#checkDisposed();
    this.#isBusy = true;
    const { maxNewTokens, numDraft, signal, submissionsAhead: ahead } = options;
    const withLogits: GPUBuffer[] = []; // staging buffers with room for them
    let capture: Capture | null = null;
    let flight: Flight | null = null;
    let written = prompt.length; // tokens of the text, passes that nobody reads included
    let isOver = maxNewTokens === 0;
    try {
      if (options.logits) capture = await this.#makeCapture(withLogits, ahead);
      const staging = capture ? withLogits : this.#staging;
      const maxBatch = Math.min(MAX_BATCH, capture?.steps ?? MAX_BATCH);
      const pacing = new Pacing(maxNewTokens, maxBatch, this.#stepMs);
      flight = new Flight(this.#gpu, pacing, (batch) => this.#read(batch));
      const waitForPrompt = async () => {
        await this.#finish();
        pacing.begin();
        options.onPrefilled?.();
      };
      const draft = await this.#begin(prompt, options);
      const choose = options.replay
        ? this.#replay
        : isPlainArgmax(options.sampling ?? GREEDY)
        ? this.#choose
        : this.#sample;
      let batches = 0; // submitted
      if (isOver) await waitForPrompt();
      while (!isOver && !signal?.aborted) {
        const { running } = flight;
        // What arrives while a batch runs is read before the next is encoded, unless that would be too late.
        const most = !running || pacing.isShort(running.steps) ? ahead : Math.min(ahead, 2);
        const steps = flight.size < most ? pacing.next() : 0;
        if (steps > 0) {
          const unknown = pacing.submitted + steps - pacing.read;
          const made = Math.min(maxNewTokens, pacing.made + unknown * (1 + numDraft)); // at most
          // While the batch before runs, so that the GPU waits for nothing but `submit`.
          const batch = this.#encode(
            { first: pacing.submitted, steps, staging: staging[batches % ahead]!, capture },
            { maxRows: 1 + numDraft, maxLength: prompt.length + made },
            draft,
            choose,
          );
          if (batches === 0) await waitForPrompt();
          flight.submit(batch);
          batches++;
        } else {
          const passes = await flight.next();
          if (passes.length === 0) throw this.#nothingDone(); // before the stop each step is a pass
          written += tokensOf(passes);
          for (const pass of passes) {
            pacing.read = pass.pass + 1;
            pacing.made += pass.tokens.length;
            if (pass.stop) isOver = true;
            yield pass;
          }
          pacing.grow();
          this.#stepMs = pacing.stepMs;
        }
      }
    } finally {
      if (flight) {
        this.#isIdling = isOver && flight.running !== null;
        written += await flight.end(isOver);
      }
      this.#promptCache.reach(written);
      for (const buffer of withLogits) this.#gpu.free(buffer);
      capture?.[Symbol.dispose]();
      this.#isBusy = false;
    }
  }

  /**
   * Runs every stage once without effect, so that drivers that compile at first use do it now, and maps every staging buffer
   * once: Deno is faster from then on. Between two stages the rest of the program has a turn.
   *
   * @param signal Ends it early; it then fails with the signal's reason.
   */
  async warmUp(signal?: AbortSignal): Promise<void> {
    const { device } = this.#gpu;
    device.queue.writeBuffer(this.#buffers.state, 0, initialState(1, 1, "length"));
    this.#forward.prepare();
    await turn();
    const stages = [
      ...this.#forward.promptDispatches([0], 0),
      ...this.#drafters.all,
      ...this.#forward.dispatches(1, 1),
      this.#choose(1),
      this.#sample(1),
      this.#accept,
    ];
    for (const stage of stages) {
      signal?.throwIfAborted();
      submit(device, [stage]);
      await turn();
    }
    const mapped = this.#staging.map((buffer) => this.#gpu.map(buffer, buffer.size, () => {}));
    await this.#gpu.unlessFailed(Promise.all(mapped));
  }

  /**
   * Times passes of 1 to 32 rows.
   *
   * @param longest Tokens that a row can see at most.
   * @param known What earlier runs found.
   * @param signal Ends it early; it then fails with the signal's reason.
   * @returns Null where the device has no clock.
   */
  async measurePassTimes(
    longest: number,
    known: PassTimes | null,
    signal?: AbortSignal,
  ): Promise<PassTimes | null> {
    const timed = (length: number) => ({
      setRows: (count: number) => {
        signal?.throwIfAborted();
        const base = Math.max(0, length - MAX_ROWS);
        const rows = rowWords(chain(0, new Array(count - 1).fill(0)), base);
        this.#gpu.device.queue.writeBuffer(this.#forward.rows, 0, rows);
      },
      encode: (pass: GPUComputePassEncoder) => {
        this.#forward.encode(pass, MAX_ROWS, length);
        encode(pass, [this.#choose(MAX_ROWS)]);
      },
    });
    const times = await measurePassTimes(this.#gpu, timed, longest, known);
    if (times) this.#stepMs = times.short[0]![1] / 1e6;
    return times;
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
    if (this.#isIdling) await this.#finish(); // so that their time is not the prompt's
    this.#isIdling = false;
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
    const through = await this.#forward.prefill(tokens, first, this.#prefillPace(signal));
    this.#promptCache.end(tokens.slice(0, through));
    return draft;
  }

  /**
   * Asked before each submission of a prompt, waits while what is under way takes longer than {@linkcode PATIENCE_MS}, and
   * answers whether to go on.
   */
  #prefillPace(signal: AbortSignal | undefined): () => Promise<boolean> {
    let underWay = 0; // submissions
    let since = 0; // when the first of them was submitted
    let hasWaited = false;
    return async () => {
      // One was submitted since, so that the GPU does not wait for the rest of the program.
      if (hasWaited) await this.#guard(turn());
      hasWaited = underWay > 0 && underWay * this.#submissionMs >= PATIENCE_MS && !signal?.aborted;
      if (hasWaited) {
        await this.#finish();
        this.#submissionMs = (performance.now() - since) / underWay;
        underWay = 0;
      }
      if (underWay === 0) since = performance.now();
      underWay++;
      return !signal?.aborted;
    };
  }

  #finish(): Promise<void> {
    return this.#guard(this.#gpu.finish());
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
      while (staging.length < batches) staging.push(stagingBuffer(this.#gpu, capture));
      return capture;
    }, (cause) =>
      new DittoError(
        `${this.#gpu.info.name} has no memory left to read logits back: do without their digest, or ` +
          `load the model with a smaller context.`,
        { cause, code: "memory" },
      ));
    await this.#compiler.compile();
    made.move();
    return capture;
  }

  /** Encodes a batch of steps of one generation. */
  #encode(
    batch: Omit<Batch, "commands">,
    most: { readonly maxRows: number; readonly maxLength: number },
    draft: readonly Dispatch[],
    choose: Choice,
  ): Batch {
    const { maxRows, maxLength } = most;
    const step = [
      ...draft,
      ...this.#forward.dispatches(maxRows, maxLength),
      choose(maxRows),
      this.#accept,
      ...(batch.capture ? [batch.capture.dispatch(maxRows)] : []),
    ];
    return encodeBatch(this.#gpu, step, this.#buffers.results, batch);
  }

  #read(batch: Batch): Promise<Pass[]> {
    return this.#guard(readBatch(this.#gpu, batch));
  }

  #nothingDone(): DittoError {
    return new DittoError(
      `The GPU device (${this.#gpu.info.name}) did nothing of what it was given, and reported no error: update its ` +
        `driver, or choose another device.`,
      { code: "device" },
    );
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
        { code: "device" },
      );
    try {
      return await this.#gpu.unlessFailed(work, failed);
    } catch (error) {
      if (!(error instanceof DittoError)) this.#checkDisposed();
      throw error;
    }
  }
}

/** The dispatch that chooses a token for each of up to so many rows. */
type Choice = (maxRows: number) => Dispatch;
