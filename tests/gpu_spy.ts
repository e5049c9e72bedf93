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

/** Sees every device and buffer that is made until it is disposed of, and which of them are still there. */
export class GpuSpy implements Disposable {
  /** All buffers so far. */
  readonly buffers: SeenBuffer[] = [];
  /** Those that were not destroyed. */
  readonly aliveBuffers = new Set<GPUBuffer>();
  /** Devices that were not destroyed, the latest last. */
  readonly aliveDevices = new Set<GPUDevice>();
  #undo = new DisposableStack();

  constructor() {
    const { buffers, aliveBuffers, aliveDevices } = this;
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
      (create) =>
        function (this: GPUDevice, descriptor) {
          const buffer = create.call(this, descriptor);
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
