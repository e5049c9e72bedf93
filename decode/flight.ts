/**
 * Submissions under way: steps are encoded together, submitted ahead of what has been read, and their results are
 * read back in order.
 *
 * @module
 */
import { type Dispatch, encode } from "../kernels/compiler.ts";
import type { Gpu } from "../kernels/device.ts";
import type { Capture } from "./capture.ts";
import { MAX_BATCH, type Pacing } from "./pacing.ts";
import { parseResults, type PassResult, RESULT_BYTES, RING } from "./state.ts";

/** Bytes of the results of a batch at most. */
const RESULTS_BYTES = MAX_BATCH * RESULT_BYTES;

/** A pass, with the logits that chose its tokens where they were asked for. */
export interface Pass extends PassResult {
  /** One row of vocab_size f32, little-endian, for each token. */
  readonly logits?: readonly Uint8Array[];
}

/** Steps that are submitted together. */
export interface Batch {
  /** The number of the first. */
  readonly first: number;
  readonly steps: number;
  readonly commands: GPUCommandBuffer;
  /** Where their results go. */
  readonly staging: GPUBuffer;
  readonly capture: Capture | null;
}

/** Room for the results of a batch, and for its logits if they are captured. */
export function stagingBuffer(gpu: Gpu, capture: Capture | null): GPUBuffer {
  const bytes = stagingBytes(capture, capture?.steps ?? 0);
  return gpu.buffer("staging", bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
}

function stagingBytes(capture: Capture | null, steps: number): number {
  return RESULTS_BYTES + (capture ? steps * capture.stepBytes : 0);
}

/**
 * Encodes a batch.
 *
 * @param step The dispatches of each step.
 * @param results The ring of results, {@linkcode RING} of {@linkcode RESULT_BYTES}.
 */
export function encodeBatch(
  gpu: Gpu,
  step: readonly Dispatch[],
  results: GPUBuffer,
  { first, steps, staging, capture }: Omit<Batch, "commands">,
): Batch {
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < steps; i++) encode(pass, step);
  pass.end();
  // The ring's slots in a row, which may go on at its beginning.
  for (let i = 0; i < steps;) {
    const slot = (first + i) % RING;
    const inRow = Math.min(steps - i, RING - slot);
    const [from, to] = [slot * RESULT_BYTES, i * RESULT_BYTES];
    encoder.copyBufferToBuffer(results, from, staging, to, inRow * RESULT_BYTES);
    i += inRow;
  }
  capture?.copy(encoder, first, steps, staging, RESULTS_BYTES);
  return { first, steps, commands: encoder.finish(), staging, capture };
}

/**
 * Asks for a submitted batch's results. In Deno that is to wait, as {@linkcode Gpu.map} says: so the next batch is to be
 * encoded before it, and submitted right after.
 */
export function readBatch(gpu: Gpu, { first, steps, staging, capture }: Batch): Promise<Pass[]> {
  return gpu.map(staging, stagingBytes(capture, steps), (mapped): Pass[] => {
    const words = new Uint32Array(mapped, 0, steps * RESULT_BYTES / 4);
    const passes = parseResults(words, first);
    if (!capture) return passes;
    return passes.map((pass, i) => {
      return { ...pass, logits: capture.logits(mapped, RESULTS_BYTES, i, pass.tokens.length) };
    });
  });
}

/** The batches of one generation that were submitted and have not been read. */
export class Flight {
  #queue: GPUQueue;
  #pacing: Pacing;
  #read: (batch: Batch) => Promise<Pass[]>;
  #arriving: Promise<Pass[]>[] = []; // their results were asked for
  #running: Batch | null = null; // the one after them
  #since = 0; // when it was submitted

  /**
   * Nothing is under way yet.
   *
   * @param pacing Is told what was submitted and how long it took.
   * @param read Asks for a batch's results.
   */
  constructor(gpu: Gpu, pacing: Pacing, read: (batch: Batch) => Promise<Pass[]>) {
    this.#queue = gpu.device.queue;
    this.#pacing = pacing;
    this.#read = read;
  }

  /** Batches under way. */
  get size(): number {
    return this.#arriving.length + (this.#running ? 1 : 0);
  }

  /** The last batch, if its results were not asked for. */
  get running(): Batch | null {
    return this.#running;
  }

  /** Submits a batch, as soon as the one before it is over. */
  submit(batch: Batch): void {
    this.#ask();
    this.#queue.submit([batch.commands]);
    this.#since = performance.now();
    this.#running = batch;
    this.#pacing.submitted += batch.steps;
  }

  /** The passes of the first batch under way, of which there must be one. */
  async next(): Promise<Pass[]> {
    if (this.#arriving.length === 0) this.#ask();
    return await this.#arriving.shift()!;
  }

  /**
   * Waits for what was asked for, and asks for the last batch too unless it `isIdle`: after a stop, steps do nothing, and
   * to ask for their results is to wait for them.
   *
   * @returns Tokens that all these appended, which nobody reads any more.
   */
  async end(isIdle: boolean): Promise<number> {
    if (!isIdle) this.#ask();
    let tokens = 0;
    for (const passes of await Promise.allSettled(this.#arriving)) {
      if (passes.status === "fulfilled") tokens += tokensOf(passes.value);
    }
    return tokens;
  }

  #ask(): void {
    if (!this.#running) return;
    const asked = performance.now();
    const arriving = this.#read(this.#running);
    arriving.catch(() => {}); // seen when it is awaited; until then it is not an unhandled one
    this.#arriving.push(arriving);
    const now = performance.now();
    this.#pacing.ran(this.#running.steps, now - this.#since, now - asked);
    this.#running = null;
  }
}

/** Tokens that passes appended. */
export function tokensOf(passes: readonly Pass[]): number {
  return passes.reduce((sum, { tokens }) => sum + tokens.length, 0);
}
