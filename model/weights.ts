/**
 * Streams weights from the checkpoint's files to the GPU, in bounded chunks.
 *
 * @module
 */
import type { BufferRegion, Gpu } from "../kernels/device.ts";
import {
  FLOAT_BYTES,
  type FloatType,
  isQuantized,
  rowBytes,
  type WeightStorage,
  type WeightType,
} from "../kernels/weight_types.ts";
import type { TensorInfo } from "./checkpoint.ts";
import type { MistralConfig } from "./config.ts";
import { readScales, rowScales } from "./fp8.ts";
import { matricesOf, type MatrixLayout, type WeightLayout } from "./layout.ts";
import { MAX_PACKED_ROWS, Quantizer } from "./quantizer.ts";
import { repack, widen } from "./repack.ts";

/** Bytes read from a file at a time. */
const CHUNK_BYTES = 16 << 20;
/**
 * Bytes handed to the queue before asking when they have arrived; in Deno to ask is to wait, as {@linkcode Gpu.map} says.
 * With the chunk that is one too many they fit the first block that wgpu takes for them: see {@linkcode Gpu.write}.
 */
const ASKED_BYTES = 40 << 20;
/** Bytes asked for and not arrived at most, which bounds the memory in use. */
const IN_FLIGHT_BYTES = 128 << 20;

/** What a part of a matrix lies in. */
type Place = BufferRegion | GPUTexture;

/** A part of a matrix on the GPU. */
export interface MatrixPart<In extends Place = Place> {
  /** Its weights, [rows][bytes of a row], in the matrix's type and storage. */
  readonly weights: In;
  /** Uniform for the decode stages: first unit, and outputs or pairs of outputs. */
  readonly decode: GPUBuffer;
  /** Uniform for prompt/matmul.wgsl: first column, and weight rows. */
  readonly prompt: GPUBuffer;
  /** Outputs, or pairs of outputs, as the decode stages count them. */
  readonly count: number;
  /** Weight rows. */
  readonly rows: number;
}

/** A matrix on the GPU. */
export interface Matrix<In extends Place = Place> {
  readonly type: WeightType;
  /** What its parts lie in. */
  readonly storage: WeightStorage;
  /** Inputs / 8, rounded up. */
  readonly k8: number;
  readonly parts: readonly MatrixPart<In>[];
}

/** A decoder layer on the GPU. Norms are their gains in f32, padded with zeros to whole eights. */
export interface LayerWeights<In extends Place = Place> {
  readonly inputNorm: GPUBuffer;
  readonly qkv: Matrix<In>;
  readonly out: Matrix<In>;
  readonly postNorm: GPUBuffer;
  readonly gateUp: Matrix<In>;
  readonly down: Matrix<In>;
}

/** A model's weights on the GPU. */
export interface Weights<In extends Place = Place> {
  readonly embedding: Matrix<In>;
  readonly layers: readonly LayerWeights<In>[];
  readonly norm: GPUBuffer;
  readonly head: Matrix<In>;
}

/** Where weights come from: a `Checkpoint`, or something that makes them up. */
export interface WeightSource {
  /** The shape of the model. */
  readonly config: MistralConfig;
  /** Every tensor the model needs, and the scales of those in F8, by its name in the checkpoint. */
  readonly tensors: ReadonlyMap<string, Pick<TensorInfo, "dtype" | "byteLength" | "scales">>;
  /** Fills `into` with a piece of a tensor, from `byteOffset` on. */
  read(name: string, byteOffset: number, into: Uint8Array): Promise<void>;
}

/** How far loading has come. */
export interface LoadProgress {
  /** Bytes of weights on their way to the GPU so far. */
  readonly loadedBytes: number;
  /** Bytes of weights in all. */
  readonly totalBytes: number;
}

/** Loads a model's weights: {@linkcode WeightUpload}, from beginning to end. */
export async function loadWeights(
  gpu: Gpu,
  source: WeightSource,
  layout: WeightLayout,
  onProgress: (progress: LoadProgress) => void = () => {},
  signal?: AbortSignal,
): Promise<Weights<BufferRegion>> {
  const upload = new WeightUpload(gpu, source, layout);
  await upload.run(onProgress, signal);
  return upload.weights;
}

/** A piece of a tensor on its way to the GPU. */
interface TensorPiece {
  readonly tensor: string;
  /** Where it lies in the tensor. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Bytes of the matrix that it makes on the GPU; 0 for a norm. */
  readonly targetBytes: number;
  /** Hands it to the queue. */
  take(bytes: Uint8Array<ArrayBuffer>): void;
}

/** Makes the buffers of a model's weights, then fills them piece by piece. */
export class WeightUpload {
  /** The weights: zeros, until {@linkcode run} has ended. */
  readonly weights: Weights<BufferRegion>;
  /** Bytes of the buffers in which they lie. */
  readonly bufferBytes: number;
  #gpu: Gpu;
  #quantizer: Quantizer;
  #source: WeightSource;
  #regions: Iterator<BufferRegion>;
  #totalBytes: number;
  #pieces: TensorPiece[] = [];
  /** Of tensors in F8; there are none before {@linkcode run}. */
  #scales = new Map<string, Float32Array<ArrayBuffer>>();

  /** Makes the buffers. */
  constructor(gpu: Gpu, source: WeightSource, layout: WeightLayout) {
    const { embedding, layers, norm, head } = layout;
    const isTied = head === embedding;
    const parts = [embedding, ...matricesOf(layers), ...isTied ? [] : [head]].flatMap(
      ({ label, parts }) => parts.map(({ bytes }) => ({ label: `weights of ${label}`, bytes })),
    );
    this.#gpu = gpu;
    this.#quantizer = new Quantizer(gpu);
    this.#source = source;
    const regions = gpu.regions("weights", parts);
    this.#regions = regions.values();
    this.#totalBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    const embedded = this.#matrix(embedding);
    this.weights = {
      embedding: embedded,
      layers: layers.map((layer): LayerWeights<BufferRegion> => ({
        inputNorm: this.#gain(layer.inputNorm),
        qkv: this.#matrix(layer.qkv),
        out: this.#matrix(layer.out),
        postNorm: this.#gain(layer.postNorm),
        gateUp: this.#matrix(layer.gateUp),
        down: this.#matrix(layer.down),
      })),
      norm: this.#gain(norm),
      head: isTied ? embedded : this.#matrix(head),
    };
    const gains = this.weights.layers.flatMap((layer) => [layer.inputNorm, layer.postNorm]);
    const buffers = [...new Set(regions.map(({ buffer }) => buffer)), ...gains, this.weights.norm];
    this.bufferBytes = buffers.reduce((sum, { size }) => sum + size, 0);
  }

  /** A matrix, whose parts take the next regions. */
  #matrix(layout: MatrixLayout): Matrix<BufferRegion> {
    const { label, type, k8, rowsPerUnit, countPerUnit } = layout;
    const parts = layout.parts.map(({ first, units, segments }): MatrixPart<BufferRegion> => {
      const weights: BufferRegion = this.#regions.next().value;
      const rows = units * rowsPerUnit;
      let row = 0;
      for (const segment of segments) {
        this.#rows(layout, weights, row, segment.tensor, segment.row, segment.rows);
        row += segment.rows;
      }
      return {
        weights,
        rows,
        count: units * countPerUnit,
        decode: this.#gpu.uniform(`${label}: part`, [first, units * countPerUnit]),
        prompt: this.#gpu.uniform(`${label}: part of a prompt`, [first * rowsPerUnit, rows]),
      };
    });
    return { type, storage: "buffer", k8, parts };
  }

  /** A norm's gain, widened to f32. */
  #gain(tensor: string): GPUBuffer {
    const { dtype, byteLength } = this.#source.tensors.get(tensor)!;
    const type = dtype as FloatType; // norms are never quantized
    const buffer = this.#gpu.buffer(tensor, Math.ceil(byteLength / FLOAT_BYTES[type] / 8) * 32);
    const take = (bytes: Uint8Array<ArrayBuffer>) =>
      this.#gpu.device.queue.writeBuffer(buffer, 0, widen(bytes, type));
    this.#pieces.push({ tensor, byteOffset: 0, byteLength, targetBytes: 0, take });
    return buffer;
  }

  /** Rows of a tensor to rows of a part, padded, widened or quantized where they have to be. */
  #rows(
    layout: MatrixLayout,
    region: BufferRegion,
    targetRow: number,
    tensor: string,
    sourceRow: number,
    rows: number,
  ): void {
    const { dtype } = this.#source.tensors.get(tensor)!;
    const { inputs, type, rowBytes: targetBytes } = layout;
    const sourceBytes = isQuantized(dtype) ? rowBytes(dtype, inputs) : inputs * FLOAT_BYTES[dtype];
    const rowsPerChunk = Math.min(
      Math.max(1, Math.floor(CHUNK_BYTES / Math.max(sourceBytes, targetBytes))),
      MAX_PACKED_ROWS,
    );
    for (let row = 0; row < rows; row += rowsPerChunk) {
      const count = Math.min(rowsPerChunk, rows - row);
      const target = targetRow + row;
      this.#pieces.push({
        tensor,
        byteOffset: (sourceRow + row) * sourceBytes,
        byteLength: count * sourceBytes,
        targetBytes: count * targetBytes,
        take: (bytes) => {
          const write = (data: Uint8Array<ArrayBuffer>) =>
            this.#gpu.device.queue.writeBuffer(
              region.buffer,
              region.offset + target * targetBytes,
              data,
            );
          if (isQuantized(dtype)) return write(bytes);
          const all = this.#scales.get(tensor);
          const scales = all ? rowScales(all, sourceRow + row, count) : null;
          const piece = { tensor, dtype, inputs, rows: count, bytes, scales };
          if (!isQuantized(type)) return write(repack(piece, type));
          const data = repack(piece, dtype);
          this.#quantizer.pack(
            { tensor, dtype, inputs, rows: count, data },
            type,
            region,
            target,
          );
        },
      });
    }
  }

  /**
   * Fills the buffers, and quantizes those weights that the layout has in fewer bits than the source.
   *
   * @param onProgress Called after every chunk.
   * @param signal Ends it between two chunks; it then fails with the signal's reason.
   * @throws {DittoError} If a file cannot be read to its end, a weight that is to be quantized is infinite or no number, a
   * weight in F8 is no number or its scale none that it can have, or the device fails. What was allocated by then belongs to
   * `gpu`, which the caller disposes, and so after an abort.
   */
  async run(
    onProgress: (progress: LoadProgress) => void = () => {},
    signal?: AbortSignal,
  ): Promise<void> {
    using quantizer = this.#quantizer;
    for (const tensor of new Set(this.#pieces.map(({ tensor }) => tensor))) {
      const scales = await readScales(this.#source, tensor);
      if (scales) this.#scales.set(tensor, scales);
    }
    signal?.throwIfAborted();
    await this.#fill(onProgress, signal);
    await quantizer.check();
  }

  /** Hands all pieces to the queue. Meanwhile the next one is being read. */
  async #fill(onProgress: (progress: LoadProgress) => void, signal?: AbortSignal): Promise<void> {
    const most = this.#pieces.reduce((bytes, piece) => Math.max(bytes, piece.byteLength), 0);
    const chunks = [new Uint8Array(most), new Uint8Array(most)] as const;
    const read = (i: number) => {
      const { tensor, byteOffset, byteLength } = this.#pieces[i]!;
      const bytes = chunks[i % 2 as 0 | 1].subarray(0, byteLength);
      const done = this.#source.read(tensor, byteOffset, bytes).then(() => bytes);
      done.catch(() => {}); // seen when it is awaited; until then it is not an unhandled one
      return done;
    };
    const queue = new UploadQueue(this.#gpu);
    let loadedBytes = 0;
    let reading = read(0);
    try {
      for (const [i, { byteLength, targetBytes, take }] of this.#pieces.entries()) {
        const bytes = await reading;
        signal?.throwIfAborted();
        if (i + 1 < this.#pieces.length) reading = read(i + 1);
        take(bytes);
        if (targetBytes > 0) {
          loadedBytes += targetBytes;
          onProgress({ loadedBytes, totalBytes: this.#totalBytes });
        }
        await queue.add(Math.max(byteLength, targetBytes));
      }
      await queue.end();
    } finally {
      await reading.catch(() => {}); // the file must not be closed under it
    }
  }
}

/**
 * What was written to the GPU's queue and may not have arrived. What was written is kept in memory until a submission that
 * comes after it is over. With one for each chunk the memory of the first is free for a later one: taking new memory for
 * each took several times as long as copying into it.
 */
class UploadQueue {
  #gpu: Gpu;
  #writtenBytes = 0; // since the last submission
  #submittedBytes = 0; // since it was asked when they have arrived
  #inFlightBytes = 0; // asked for
  #inFlight: { readonly bytes: number; readonly arrived: Promise<void> }[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Takes note of bytes that were written. Waits while {@linkcode IN_FLIGHT_BYTES} are under way. */
  async add(bytes: number): Promise<void> {
    this.#writtenBytes += bytes;
    if (this.#writtenBytes >= CHUNK_BYTES / 2) this.#submit(); // few chunks are quite full
    if (this.#submittedBytes >= ASKED_BYTES) this.#ask();
    while (this.#inFlightBytes >= IN_FLIGHT_BYTES) await this.#oldest();
  }

  /** Waits until everything has arrived. */
  async end(): Promise<void> {
    this.#submit();
    this.#ask();
    while (this.#inFlight.length > 0) await this.#oldest();
  }

  #submit(): void {
    this.#gpu.device.queue.submit([]);
    this.#submittedBytes += this.#writtenBytes;
    this.#writtenBytes = 0;
  }

  #ask(): void {
    const arrived = this.#gpu.device.queue.onSubmittedWorkDone();
    arrived.catch(() => {}); // seen when it is awaited; until then it is not an unhandled one
    this.#inFlight.push({ bytes: this.#submittedBytes, arrived });
    this.#inFlightBytes += this.#submittedBytes;
    this.#submittedBytes = 0;
  }

  async #oldest(): Promise<void> {
    const { bytes, arrived } = this.#inFlight.shift()!;
    await this.#gpu.unlessFailed(arrived);
    this.#inFlightBytes -= bytes;
  }
}
