/**
 * Running single kernels: typed arrays stand for buffers.
 *
 * An array bound to several jobs of a run is one buffer. Behind each array lies a poisoned tail, so that a
 * kernel that writes past the end is found out.
 *
 * @module
 */
import { AssertionError } from "@std/assert";
import { Gpu } from "../../kernels/device.ts";
import { openGpu, type OpenOptions } from "../../kernels/open_gpu.ts";
import { Compiler, encode, type Kernel, lazyKernel } from "../../kernels/compiler.ts";
import { defaultProfile, type Profile } from "../../kernels/profile.ts";
import type { Stage, Variant } from "../../kernels/stages.ts";
import { copyToTexture } from "../../model/weight_textures.ts";
import { Recorder } from "./record.ts";

/** What a buffer holds. */
export type Data = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/** One dispatch. */
export interface Job {
  readonly kernel: Kernel;
  /** The stage's buffers, in the order of their binding numbers. */
  readonly bindings: readonly Data[];
  readonly workgroups: readonly [number, number?, number?];
}

/** A word that is NaN as an f32 and as two f16s, and no sensible integer: what nobody wrote. */
export const POISON = 0x7fedfeed;

/** `n` words that nobody wrote. */
export function poisoned(n: number): Uint32Array<ArrayBuffer> {
  return new Uint32Array(n).fill(POISON);
}

/** `n` floats that nobody wrote. */
export function poisonedFloats(n: number): Float32Array<ArrayBuffer> {
  return new Float32Array(poisoned(n).buffer);
}

/** The words of an array of floats, sharing its memory. */
export function bits(data: Data): Uint32Array<ArrayBuffer> {
  return new Uint32Array(data.buffer, data.byteOffset, data.length);
}

const TAIL = 64; // bytes of poison behind every array

/** Where dispatches are kept, if they are; then they are those of a GPU. */
const recordTo = Deno.env.get("DITTO_RECORD");
const recorder = recordTo ? new Recorder(recordTo) : null;

/** A device, the kernels compiled for it, and a way to run them. */
export class Harness implements Disposable {
  readonly gpu: Gpu;
  readonly compiler: Compiler;
  /** Those whose weights are in a texture. */
  #textured = new WeakSet<Kernel>();

  constructor(gpu: Gpu, profile?: Partial<Profile>) {
    this.gpu = gpu;
    this.compiler = new Compiler(gpu, { ...defaultProfile(gpu.info), ...profile });
    gpu.device.pushErrorScope("validation");
  }

  static async open(options?: OpenOptions, profile?: Partial<Profile>): Promise<Harness> {
    return recorder
      ? Harness.likeGpu(profile, options)
      : new Harness(await openGpu(options), profile);
  }

  /** The kernels of a GPU, whatever the device at hand is. */
  static async likeGpu(profile?: Partial<Profile>, options?: OpenOptions): Promise<Harness> {
    const { device, info } = await openGpu(options);
    return new Harness(new Gpu(device, { ...info, isSoftware: false }), profile);
  }

  /** Whether products use subgroups here, in words. */
  get lanes(): string {
    const { subgroupSize, subgroupVaries } = this.gpu.info;
    if (subgroupSize === null) return "no subgroups";
    if (this.compiler.vector) return `a vector of ${subgroupSize}`;
    return `${this.compiler.lanes} lanes${subgroupVaries ? " of more" : ""}`;
  }

  /** Compiles a stage. Where it reads weights, they are in what the profile says; those to be quantized in a buffer. */
  kernel(stage: Stage, given: Variant, constants: Record<string, number>): Kernel {
    const isTextured = given.weights && stage !== "quantize" &&
      this.compiler.profile.weightStorage === "texture";
    const variant: Variant = isTextured ? { ...given, storage: "texture" } : given;
    const kernel = this.compiler.kernel(stage, variant, constants);
    if (isTextured) this.#textured.add(kernel);
    if (recorder && !isTextured) { // tools/gpu/races.py knows no textures
      const { source, used } = this.compiler.source(stage, variant, constants);
      recorder.name(kernel, stage, source, used);
    }
    return kernel;
  }

  /** Compiles a text that is no stage: one that calls functions of lib/. */
  kernelOf(code: string, entryPoint: string, constants: Record<string, number> = {}): Kernel {
    return lazyKernel(this.gpu.device, entryPoint, code, constants, entryPoint);
  }

  /** Workgroups of a product with so many quads of outputs. */
  workgroups(quads: number): number {
    return Math.ceil(quads / this.compiler.quads);
  }

  /** Runs jobs in order, in one submission, and overwrites `outputs` with what they left there. */
  async run(jobs: readonly Job[], outputs: readonly Data[]): Promise<void> {
    const { gpu } = this;
    const { device } = gpu;
    const places = new Map<Data, { buffer: GPUBuffer; offset: number }>();
    let total = 0;
    for (const data of jobs.flatMap((job) => job.bindings)) {
      if (places.has(data)) continue;
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST |
        GPUBufferUsage.COPY_SRC;
      const buffer = gpu.buffer("test", data.byteLength + TAIL, usage);
      places.set(data, { buffer, offset: total });
      total += buffer.size;
    }
    const image = poisoned(total / 4);
    for (const [data, { offset }] of places) image.set(bits(data), offset / 4);
    const whole = gpu.buffer("test image", total);
    device.queue.writeBuffer(whole, 0, image);
    const staging = gpu.buffer("staging", total, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);

    const encoder = device.createCommandEncoder();
    for (const { buffer, offset } of places.values()) {
      encoder.copyBufferToBuffer(whole, offset, buffer, 0, buffer.size);
    }
    const textures = new Map<Data, GPUTexture>();
    for (const { kernel, bindings: [weights] } of jobs) {
      if (!weights || !this.#textured.has(kernel) || textures.has(weights)) continue;
      const { buffer } = places.get(weights)!;
      const region = { label: "test", buffer, offset: 0, size: buffer.size };
      textures.set(weights, copyToTexture(gpu, encoder, region));
    }
    const bind = ({ kernel, bindings }: Job) => {
      const isTextured = this.#textured.has(kernel);
      return kernel.bind(
        ...bindings.map((data, binding) =>
          isTextured && binding === 0 ? textures.get(data)! : places.get(data)!.buffer
        ),
      );
    };
    const pass = encoder.beginComputePass();
    encode(
      pass,
      jobs.map((job) => ({ ...job, bindings: bind(job) })),
    );
    pass.end();
    for (const data of outputs) {
      const { buffer, offset } = places.get(data)!;
      encoder.copyBufferToBuffer(buffer, 0, staging, offset, buffer.size);
    }
    device.queue.submit([encoder.finish()]);
    const error = await device.popErrorScope();
    device.pushErrorScope("validation");
    if (error) throw new Error(`The device refused a job: ${error.message}`);

    const found = new Uint32Array(await gpu.map(staging, total, (mapped) => mapped.slice(0)));
    for (const data of outputs) {
      const { buffer, offset } = places.get(data)!;
      const end = offset / 4 + data.length;
      bits(data).set(found.subarray(offset / 4, end));
      if (found.subarray(end, (offset + buffer.size) / 4).some((word) => word !== POISON)) {
        throw new AssertionError(`A kernel wrote past the end of ${data.length} words`);
      }
    }
    recorder?.run(jobs, outputs, (data) => {
      const { offset } = places.get(data)!;
      return image.subarray(offset / 4, offset / 4 + data.length);
    });
    for (const { buffer } of places.values()) gpu.free(buffer);
    for (const texture of textures.values()) gpu.free(texture);
    gpu.free(whole);
    gpu.free(staging);
  }

  [Symbol.dispose](): void {
    this.gpu[Symbol.dispose]();
  }
}

/** What a kernel should leave in an array of floats: values with error bounds, or nothing at all. */
export class Expected {
  readonly #values: Float64Array;
  readonly #bounds: Float64Array;

  /** Expects of `n` values that nobody writes them. */
  constructor(n: number) {
    this.#values = new Float64Array(n).fill(NaN);
    this.#bounds = new Float64Array(n);
  }

  /** Expects at `i` a value that differs from `value` by `bound` at most. */
  set(i: number, value: number, bound = 0): void {
    this.#values[i] = value;
    this.#bounds[i] = bound;
  }

  /**
   * Compares.
   *
   * @param what What was computed, for the message.
   * @param shape Sizes of the array's inner dimensions, to name the place of a wrong value.
   */
  check(what: string, found: Float32Array<ArrayBuffer>, ...shape: number[]): void {
    const words = bits(found);
    let wrong = -1;
    let count = 0;
    for (let i = 0; i < found.length; i++) {
      const value = this.#values[i]!;
      const good = Number.isNaN(value)
        ? words[i] === POISON
        : Math.abs(found[i]! - value) <= this.#bounds[i]!;
      if (good) continue;
      if (count++ === 0) wrong = i;
    }
    if (count === 0) return;
    const value = this.#values[wrong]!;
    throw new AssertionError(
      `${what}: ${count} of ${found.length} values are wrong, first at ${
        place(wrong, shape)
      }: expected ` +
        (Number.isNaN(value) ? "nothing written" : `${value} ± ${this.#bounds[wrong]}`) +
        `, found ${found[wrong]} (0x${words[wrong]!.toString(16)})`,
    );
  }
}

/** Fails unless two arrays agree in every bit; `what` they are is asked for only then, if it is a function. */
export function assertSameBits(
  what: string | (() => string),
  found: Data,
  expected: Data,
  ...shape: number[]
): void {
  const [a, b] = [bits(found), bits(expected)];
  const name = () => typeof what === "string" ? what : what();
  if (a.length !== b.length) {
    throw new AssertionError(`${name()}: ${a.length} words, expected ${b.length}`);
  }
  const wrong = a.findIndex((word, i) => word !== b[i]);
  if (wrong < 0) return;
  throw new AssertionError(
    `${name()}: the first different bits are at ${place(wrong, shape)}: expected ${
      expected[wrong]
    } ` +
      `(0x${b[wrong]!.toString(16)}), found ${found[wrong]} (0x${a[wrong]!.toString(16)})`,
  );
}

function place(i: number, shape: readonly number[]): string {
  const indices: number[] = [];
  for (const size of shape.toReversed()) {
    indices.unshift(i % size);
    i = Math.floor(i / size);
  }
  return `[${[i, ...indices].join(", ")}]`;
}
