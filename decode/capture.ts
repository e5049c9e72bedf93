/**
 * Reading back the logits that chose the tokens, for digests.
 *
 * @module
 */
import type { Compiler, Dispatch } from "../kernels/compiler.ts";
import type { Gpu } from "../kernels/device.ts";
import { MAX_ROWS } from "../kernels/stages.ts";

/** Bytes of logits kept at most. */
const MAX_BYTES = 64 << 20;

/** Where the logits of a few steps are kept until they are read. Disposing it frees them. */
export class Capture implements Disposable {
  /** Steps it has room for. */
  readonly steps: number;
  /** Bytes of a step's logits. */
  readonly stepBytes: number;
  /** What keeps a step's logits, after it has accepted so many of its rows at most. */
  readonly dispatch: (maxRows: number) => Dispatch;
  #gpu: Gpu;
  #vocabSize: number;
  #buffer: GPUBuffer;

  /**
   * Room on `gpu`.
   *
   * @param buffers The generation's state, and the rows and logits of the pass just run.
   * @param maxSteps Steps it should have room for at most.
   */
  constructor(
    gpu: Gpu,
    compiler: Compiler,
    buffers: { readonly state: GPUBuffer; readonly rows: GPUBuffer; readonly logits: GPUBuffer },
    vocabSize: number,
    maxSteps: number,
  ) {
    this.stepBytes = MAX_ROWS * vocabSize * 4;
    const limit = Math.min(MAX_BYTES, gpu.info.maxBindingBytes);
    this.#gpu = gpu;
    this.#vocabSize = vocabSize;
    this.steps = Math.max(1, Math.min(maxSteps, Math.floor(limit / this.stepBytes)));
    this.#buffer = gpu.buffer("captured logits", this.steps * this.stepBytes);
    const kernel = compiler.kernel("capture", {}, { VOCAB: vocabSize, RING: this.steps });
    const bindings = kernel.bind(buffers.state, buffers.rows, buffers.logits, this.#buffer);
    const columns = Math.ceil(vocabSize / 64);
    this.dispatch = (maxRows) => ({ kernel, bindings, workgroups: [columns, maxRows] });
  }

  /** Encodes a copy of the logits of `steps` steps, from number `first` on, to `target`. */
  copy(
    encoder: GPUCommandEncoder,
    first: number,
    steps: number,
    target: GPUBuffer,
    offset: number,
  ): void {
    const { stepBytes } = this;
    for (let i = 0; i < steps; i++) {
      const from = (first + i) % this.steps * stepBytes;
      encoder.copyBufferToBuffer(this.#buffer, from, target, offset + i * stepBytes, stepBytes);
    }
  }

  /**
   * Finds the logits of a step in what was copied.
   *
   * @param offset Where the copy begins.
   * @param step The step's place in the copy.
   * @param tokens Tokens that the step appended.
   * @returns For each token one row of vocab_size f32, little-endian.
   */
  logits(mapped: ArrayBuffer, offset: number, step: number, tokens: number): Uint8Array[] {
    const rowBytes = this.#vocabSize * 4;
    const from = offset + step * this.stepBytes;
    return Array.from(
      { length: tokens },
      (_, row) => new Uint8Array(mapped, from + row * rowBytes, rowBytes).slice(),
    );
  }

  /** Frees the room. */
  [Symbol.dispose](): void {
    this.#gpu.free(this.#buffer);
  }
}
