/**
 * A WebGPU device, its buffers, and waiting for it. wgpu reports a lost device through `device.lost` only, never as an
 * exception of the call at hand.
 *
 * @module
 */

import { DittoError } from "./errors.ts";
import { turn } from "./turn.ts";

/** What is known of a device. */
export interface DeviceInfo {
  /** The driver's name for the device, such as `NVIDIA H200` or `llvmpipe (LLVM 15.0.6, 256 bits)`. */
  readonly name: string;
  /** Lanes of a subgroup, the fewest there may be, or null where the device has no subgroups. */
  readonly subgroupSize: number | null;
  /** Whether a kernel's subgroups may be larger: some drivers pick among several sizes (AMD, Intel). */
  readonly subgroupVaries: boolean;
  /** Whether kernels can compute in f16 (`shader-f16`). */
  readonly hasF16: boolean;
  /**
   * Whether kernels can use WGSL's conversions from f16 and to it (`pack2x16float` …). wgpu refuses them with llvmpipe where
   * the CPU has no instruction for them, or LLVM (before 16) does not know it, as on ARM. Elsewhere they are always there.
   */
  readonly convertsF16: boolean;
  /** Whether the CPU plays the device (llvmpipe, SwiftShader). */
  readonly isSoftware: boolean;
  /** Largest part of a buffer that a kernel can see, in bytes; what is no larger is not when rounded up either. */
  readonly maxBindingBytes: number;
  /** Largest buffer, in bytes; likewise. */
  readonly maxBufferBytes: number;
}

/** A part of a buffer, which a kernel can be given in place of a whole one. */
export interface BufferRegion extends Required<GPUBufferBinding> {
  /** What it holds. */
  readonly label: string;
}

/**
 * wgpu takes memory for buffers of this size at most in blocks (on Vulkan and DirectX 12), and what is left of a block when
 * the next buffer does not fit stays empty; larger buffers have memory of their own. The first block has half of this
 * (AllocationSizes of wgpu-hal 29, get_memblock_size of gpu-allocator 0.28), and where the CPU sees the GPU's memory, as in
 * software, the first has a quarter and the others have half.
 */
const BLOCK_BYTES = 256 << 20;
/** Where a region may begin, on any device. */
const REGION_ALIGNMENT = 256;

/** Bytes of a buffer, or of what a kernel sees of a region. */
function boundBytes(bytes: number): number {
  return Math.max(16, Math.ceil(bytes / 16) * 16);
}

/** Bytes that a region takes. */
export function regionBytes(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / REGION_ALIGNMENT)) * REGION_ALIGNMENT;
}

/**
 * A limit without what regions, whose sizes are rounded up, cannot use of it: with Mesa's drivers and on DirectX 12 wgpu
 * allows a buffer 2^31 - 1 bytes, and what has a few less would be rounded up beyond that.
 */
export function wholeRegions(limit: number): number {
  return Math.floor(limit / REGION_ALIGNMENT) * REGION_ALIGNMENT;
}

/** Bytes that are written to a buffer at once. */
const WRITTEN_BYTES = 16 << 20;

/** How much later than the failure of what was under way a device's loss may be announced. In milliseconds. */
const LOSS_MS = 100;

/**
 * Whether calls of `mapAsync()` and `onSubmittedWorkDone()` wait until the GPU is done, as in Deno 2.9. Then the buffer is
 * mapped, though the promise is kept 10 ms later. Later versions may do as WebGPU says, or worse: a buffer that was never
 * mapped before must not be read so early, or Deno 2.9 crashes. It does, too, when the device is lost during the wait
 * (`device_poll(…).unwrap()` in its ext/webgpu/queue.rs and buffer.rs): submissions that take seconds are to be avoided.
 */
const WAITS_IN_THE_CALL = /^2\.9\./.test(Deno.version.deno);

/** A WebGPU device with the buffers and textures made on it. Disposing it frees them all. */
export class Gpu implements Disposable {
  /** The device itself. */
  readonly device: GPUDevice;
  /** What device it is. */
  readonly info: DeviceInfo;
  #failure: string | null = null;
  #waiting = new Set<(what: string) => void>();
  #owned = new Set<GPUBuffer | GPUTexture>();
  #wereMapped = new WeakSet<GPUBuffer>();
  #disposed = false;

  /** Wraps an open device. */
  constructor(device: GPUDevice, info: DeviceInfo) {
    this.device = device;
    this.info = info;
    device.lost.then(({ message, reason }) => {
      if (!this.#disposed) this.#fail(`was lost: ${message || reason || "unknown reason"}`);
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault(); // it is thrown from the generation at hand, not printed
      const { error } = event as GPUUncapturedErrorEvent;
      const isOutOfMemory = error instanceof GPUOutOfMemoryError;
      this.#fail(isOutOfMemory ? "ran out of memory" : `failed: ${error.message}`);
    });
  }

  #fail(what: string): void {
    this.#failure ??= what;
    for (const fail of this.#waiting) fail(this.#failure);
  }

  /**
   * Waits for work, or until the device is lost or reports an error that no call raised; not until it is disposed of.
   *
   * A promise of the failure, raced against all work there is, would keep each result for as long as the device lives.
   *
   * @param toError Makes what is thrown from what happened, such as "was lost: …". Default: a {@linkcode DittoError}.
   */
  async unlessFailed<T>(
    work: Promise<T>,
    toError: (what: string) => Error = (what) =>
      new DittoError(`The GPU device (${this.info.name}) ${what}.`, { code: "device" }),
  ): Promise<T> {
    const { promise: failure, reject } = Promise.withResolvers<never>();
    const fail = (what: string) => reject(toError(what));
    this.#waiting.add(fail);
    if (this.#failure !== null) fail(this.#failure);
    try {
      return await Promise.race([failure, work]);
    } catch (error) {
      if (error instanceof DOMException && !this.#disposed) {
        // Work on a lost device fails in its own words, perhaps before the loss is announced.
        await Promise.race([failure, new Promise((resolve) => setTimeout(resolve, LOSS_MS))]);
      }
      throw error;
    } finally {
      this.#waiting.delete(fail);
    }
  }

  /**
   * Does what makes buffers and binds them, and throws if the device had no memory for them: WebGPU makes them all the
   * same, and whatever uses them fails. The device itself is none the worse for it.
   *
   * @param toError Makes what is thrown.
   */
  async unlessOutOfMemory<T>(work: () => T, toError: (cause: GPUError) => Error): Promise<T> {
    const { device } = this;
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation"); // what follows from it
    let result: T;
    let errors: Promise<GPUError | null>[];
    try {
      result = work();
    } finally {
      errors = [device.popErrorScope(), device.popErrorScope()];
    }
    const [invalid, outOfMemory] = await Promise.all(errors);
    if (outOfMemory) throw toError(outOfMemory);
    if (invalid) this.#fail(`failed: ${invalid.message}`);
    return await this.unlessFailed(Promise.resolve(result));
  }

  /**
   * Makes a buffer filled with zeros.
   *
   * @param label What it holds, for error messages.
   * @param bytes Its size; rounded up to 16 bytes.
   * @param usage Default: storage that can be copied from and to.
   */
  buffer(
    label: string,
    bytes: number,
    usage: GPUBufferUsageFlags = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST |
      GPUBufferUsage.COPY_SRC,
  ): GPUBuffer {
    const buffer = this.device.createBuffer({ label, size: boundBytes(bytes), usage });
    this.#owned.add(buffer);
    return buffer;
  }

  /**
   * Makes regions filled with zeros, neighbours in one buffer until it is larger than a block: with a buffer for each
   * weight matrix and each layer's cache, models took up to 40% more memory than these have bytes. No dispatch can write
   * one of them and read another.
   *
   * @param label What they hold together, for error messages.
   * @param wanted What each holds, and its size, which is rounded up to 16 bytes.
   */
  regions(
    label: string,
    wanted: readonly { readonly label: string; readonly bytes: number }[],
  ): BufferRegion[] {
    const regions: BufferRegion[] = [];
    while (regions.length < wanted.length) {
      const ends = [0];
      for (const { bytes } of wanted.slice(regions.length)) {
        const end = ends.at(-1)! + regionBytes(bytes);
        if (ends.length > 1 && end > this.info.maxBufferBytes) break;
        ends.push(end);
        if (end > BLOCK_BYTES) break;
      }
      const buffer = this.buffer(label, ends.pop()!);
      for (const offset of ends) {
        const { label, bytes } = wanted[regions.length]!;
        regions.push({ label, buffer, offset, size: boundBytes(bytes) });
      }
    }
    return regions;
  }

  /**
   * Makes a texture filled with zeros.
   *
   * @param label What it holds, for error messages.
   * @param width Texels of 16 bytes in a row.
   * @param height Rows.
   */
  texture(label: string, width: number, height: number): GPUTexture {
    const texture = this.device.createTexture({
      label,
      size: [width, height],
      format: "rgba32uint",
      usage: GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST,
    });
    this.#owned.add(texture);
    return texture;
  }

  /** Makes a uniform buffer that holds `values`. */
  uniform(label: string, values: readonly number[]): GPUBuffer {
    const buffer = this.buffer(
      label,
      values.length * 4,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
    this.device.queue.writeBuffer(buffer, 0, new Uint32Array(values));
    return buffer;
  }

  /**
   * Fills a buffer from its beginning, a piece at a time: wgpu 29 takes memory for a piece on its way only if each heap that
   * the CPU sees has room for it (error_if_would_oom_on_resource_allocation in its Vulkan backend), or the device is lost.
   * On a graphics card without Resizable BAR one of them has 258 MB, on Windows 224, of which 30 are taken before (NVIDIA's,
   * iree-org/iree#5268, GPUOpen-Drivers/AMD-Gfx-Drivers#14), and it is there that pieces lie. wgpu's first block for them
   * takes 67 and the second 134, which leaves too little. So 64 MiB are on their way at most.
   *
   * @param data Whole words.
   */
  write(buffer: GPUBuffer, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    const { queue } = this.device;
    for (let at = 0; at < data.byteLength; at += WRITTEN_BYTES) {
      if (at > 0) {
        queue.submit([]);
        this.finish().catch(() => {}); // a failure is announced by other means
      }
      const [first, count] = [at / 4, WRITTEN_BYTES / 4];
      queue.writeBuffer(buffer, at, data.subarray(first, first + count));
    }
  }

  /** Frees a buffer or a texture. */
  free(owned: GPUBuffer | GPUTexture): void {
    this.#owned.delete(owned);
    owned.destroy();
  }

  /**
   * Reads a buffer back. Costs 11.5 ms at least in Deno, however small the buffer, since what it is read back to is new.
   *
   * @throws {DittoError} If the device was lost, or work before this failed.
   */
  async read(
    source: GPUBuffer,
    offset = 0,
    bytes: number = source.size - offset,
  ): Promise<ArrayBuffer> {
    const staging = this.buffer(
      "read-back",
      bytes,
      GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    );
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, offset, staging, 0, bytes);
      this.device.queue.submit([encoder.finish()]);
      const mapped = this.map(staging, bytes, (mapped) => mapped.slice(0));
      return await this.unlessFailed(mapped);
    } finally {
      this.free(staging);
    }
  }

  /**
   * Maps a staging buffer for as long as `read` looks at it.
   *
   * In Deno (2.9) the call itself waits until all that was submitted is over, whatever the buffer is for. The first time
   * for a buffer the promise is kept 10 ms later, then at once. `queue.onSubmittedWorkDone()` waits as well.
   *
   * @param read Takes what it needs from the first `bytes`, and keeps no reference to them.
   */
  async map<T>(staging: GPUBuffer, bytes: number, read: (mapped: ArrayBuffer) => T): Promise<T> {
    const mapping = staging.mapAsync(GPUMapMode.READ, 0, bytes);
    let mapped: ArrayBuffer | null = null;
    if (WAITS_IN_THE_CALL && this.#wereMapped.has(staging)) {
      mapping.catch(() => {}); // where it is too early, it is awaited
      await turn(); // what the caller wants to submit comes first, and whatever else the program waits for
      try {
        mapped = staging.getMappedRange(0, bytes);
      } catch {
        // Not mapped yet, or it failed.
      }
    }
    if (!mapped) {
      await mapping;
      mapped = staging.getMappedRange(0, bytes);
      this.#wereMapped.add(staging);
    }
    try {
      return read(mapped);
    } finally {
      staging.unmap();
    }
  }

  /** Waits until all that was submitted is over; in Deno (2.9) the call itself does. */
  async finish(): Promise<void> {
    const done = this.device.queue.onSubmittedWorkDone();
    if (!WAITS_IN_THE_CALL) return await done;
    done.catch(() => {}); // a failure is announced by other means
  }

  /** Frees every buffer and texture, and the device. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const owned of this.#owned) owned.destroy();
    this.#owned.clear();
    this.device.destroy();
  }
}
