/**
 * Packs weights into few bits on the GPU.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import { type Bindable, Compiler, encode } from "../kernels/compiler.ts";
import { MAX_WORKGROUPS } from "../kernels/stages.ts";
import { type FloatType, QUANTIZED_BITS, type QuantizedType } from "../kernels/weight_types.ts";
import { DittoError, show } from "./errors.ts";

/** Rows that one dispatch packs at most. */
export const MAX_PACKED_ROWS = MAX_WORKGROUPS;

/** Rows of a tensor, each padded with zeros to whole eights, or in F8 to sixteens and with its scale. */
export interface Rows {
  /** The tensor's name. */
  readonly tensor: string;
  /** Its element type. */
  readonly dtype: FloatType;
  /** Weights of a row, without padding. */
  readonly inputs: number;
  /** How many rows there are, {@linkcode MAX_PACKED_ROWS} at most. */
  readonly rows: number;
  /** The rows. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** What the quantizer has from its first use on. */
interface Tools {
  readonly compiler: Compiler;
  readonly job: GPUBuffer;
  readonly fault: GPUBuffer;
}

/** The quantizer of one device; it takes nothing until it is used. Dispose of it to free its buffers. */
export class Quantizer implements Disposable {
  #gpu: Gpu;
  #tools: Tools | null = null;
  #source: GPUBuffer | null = null;
  #tensors: string[] = [];

  /** A quantizer on `gpu`. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Packs rows. It is under way when this returns; {@linkcode check} tells whether it went well.
   *
   * @param type How to store them.
   * @param target Room for such rows.
   * @param row The first of its rows to be written.
   */
  pack(
    { tensor, dtype, inputs, rows, data }: Rows,
    type: QuantizedType,
    target: Bindable,
    row: number,
  ): void {
    const { device } = this.#gpu;
    const { compiler, job, fault } = this.#tools ??= {
      compiler: new Compiler(this.#gpu),
      job: this.#gpu.uniform("job of the quantizer", [0, 0]),
      fault: this.#gpu.buffer("a tensor that cannot be quantized", 4),
    };
    if (this.#source && this.#source.size < data.length) {
      this.#gpu.free(this.#source);
      this.#source = null;
    }
    this.#source ??= this.#gpu.buffer("rows to quantize", data.length);
    if (this.#tensors.at(-1) !== tensor) this.#tensors.push(tensor);
    const kernel = compiler.kernel("quantize", { weights: dtype }, {
      K8: Math.ceil(inputs / 8),
      BITS: QUANTIZED_BITS[type],
    });
    device.queue.writeBuffer(this.#source, 0, data);
    device.queue.writeBuffer(job, 0, new Uint32Array([row, this.#tensors.length]));
    const bindings = kernel.bind(this.#source, target, fault, job);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass, [{ kernel, bindings, workgroups: [rows] }]);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  /**
   * Waits for everything packed so far.
   *
   * @throws {DittoError} If a tensor had weights that are no numbers, or too large.
   */
  async check(): Promise<void> {
    if (this.#tools === null) return;
    const [fault] = new Uint32Array(await this.#gpu.read(this.#tools.fault, 0, 4));
    if (!fault) return;
    throw new DittoError(
      `Tensor ${show(this.#tensors[fault - 1])} cannot be quantized: it has weights that are ` +
        `infinite, not a number, or larger than 2^100. The checkpoint is damaged.`,
    );
  }

  /** Frees the buffers. */
  [Symbol.dispose](): void {
    if (this.#source) this.#gpu.free(this.#source);
    if (this.#tools === null) return;
    this.#gpu.free(this.#tools.job);
    this.#gpu.free(this.#tools.fault);
  }
}
