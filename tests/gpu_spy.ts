/**
 * Watching what is on the GPU.
 *
 * @module
 */

/** A buffer that was made. */
export interface SeenBuffer {
  readonly label: string;
  readonly size: number;
  readonly usage: number;
}

/**
 * Sees every device, buffer and texture that is made until it is disposed of, and which of them are still there. With a bound,
 * buffers beyond it are what WebGPU makes of them without memory: useless ones, of which a scope for such errors tells.
 */
export class GpuSpy implements Disposable {
  /** All buffers so far. */
  readonly buffers: SeenBuffer[] = [];
  /** Those that were not destroyed. */
  readonly aliveBuffers = new Set<GPUBuffer>();
  /** Textures that were not destroyed. */
  readonly aliveTextures = new Set<GPUTexture>();
  /** Devices that were not destroyed, the latest last. */
  readonly aliveDevices = new Set<GPUDevice>();
  /** What buffers may have together. */
  memoryBytes: number;
  #undo = new DisposableStack();

  /** Without `memoryBytes` there is no bound. */
  constructor(memoryBytes = Infinity) {
    this.memoryBytes = memoryBytes;
    // deno-lint-ignore no-this-alias
    const spy = this;
    const { buffers, aliveBuffers, aliveTextures, aliveDevices } = this;
    const scopes: { filter: GPUErrorFilter; isOutOfMemory: boolean }[] = [];
    this.#wrap(GPUDevice.prototype, "pushErrorScope", (push) =>
      function (this: GPUDevice, filter) {
        scopes.push({ filter, isOutOfMemory: false });
        return push.call(this, filter);
      });
    this.#wrap(GPUDevice.prototype, "popErrorScope", (pop) =>
      async function (this: GPUDevice) {
        const { isOutOfMemory } = scopes.pop()!;
        const error = await pop.apply(this);
        return isOutOfMemory ? new GPUOutOfMemoryError("no room") : error;
      });
    const create = GPUDevice.prototype.createBuffer;
    /** Makes an invalid buffer. */
    const fail = (device: GPUDevice, descriptor: GPUBufferDescriptor) => {
      device.pushErrorScope("validation");
      const buffer = create.call(device, { ...descriptor, usage: 0 });
      device.popErrorScope();
      const scope = scopes.findLast(({ filter }) => filter === "out-of-memory");
      const error = new GPUOutOfMemoryError("no room");
      if (scope) scope.isOutOfMemory = true;
      else device.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));
      return buffer;
    };
    this.#wrap(
      GPUAdapter.prototype,
      "requestDevice",
      (request) =>
        async function (this: GPUAdapter, ...options) {
          const device = await request.apply(this, options);
          aliveDevices.add(device);
          return device;
        },
    );
    this.#wrap(GPUDevice.prototype, "destroy", (destroy) =>
      function (this: GPUDevice) {
        aliveDevices.delete(this);
        return destroy.apply(this);
      });
    this.#wrap(
      GPUDevice.prototype,
      "createBuffer",
      () =>
        function (this: GPUDevice, descriptor) {
          const taken = [...aliveBuffers].reduce((sum, { size }) => sum + size, descriptor.size);
          const buffer = taken <= spy.memoryBytes
            ? create.call(this, descriptor)
            : fail(this, descriptor);
          aliveBuffers.add(buffer);
          const { label = "", size, usage } = descriptor;
          buffers.push({ label, size, usage });
          return buffer;
        },
    );
    this.#wrap(GPUBuffer.prototype, "destroy", (destroy) =>
      function (this: GPUBuffer) {
        aliveBuffers.delete(this);
        return destroy.apply(this);
      });
    this.#wrap(
      GPUDevice.prototype,
      "createTexture",
      (create) =>
        function (this: GPUDevice, descriptor) {
          const texture = create.call(this, descriptor);
          aliveTextures.add(texture);
          return texture;
        },
    );
    this.#wrap(GPUTexture.prototype, "destroy", (destroy) =>
      function (this: GPUTexture) {
        aliveTextures.delete(this);
        return destroy.apply(this);
      });
  }

  /** Replaces a method until the spy is disposed of. */
  #wrap<T extends object, Name extends keyof T>(
    prototype: T,
    name: Name,
    wrap: (original: T[Name]) => T[Name],
  ): void {
    const original = prototype[name];
    prototype[name] = wrap(original);
    this.#undo.defer(() => prototype[name] = original);
  }

  [Symbol.dispose](): void {
    this.#undo.dispose();
  }
}
