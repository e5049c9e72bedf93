/**
 * A WebGPU device that computes nothing and takes note of what a real one would refuse: so that models can be tried that
 * no test has the memory for.
 *
 * @module
 */

/** The limits of a device that matter here; the others are WebGPU's least. */
export interface StrictLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

/** Storage buffers of a stage, and workgroups along a dimension, that every device takes. */
const [MAX_STORAGE_BUFFERS, MAX_WORKGROUPS] = [8, 65535];
const MAX_UNIFORM_BYTES = 65536;
/** What is on its way to buffers has to fit the first block of memory that wgpu takes for it: see `Gpu.write`. */
const MAX_WRITTEN_BYTES = 64 << 20;
const OFFSET_ALIGNMENT = 256;

/** Stands for a buffer. */
interface Made {
  readonly label: string;
  readonly size: number;
  readonly usage: number;
}

/** A binding of a kernel. */
interface Declared {
  readonly name: string;
  /** "uniform", "storage, read" or "storage, read_write". */
  readonly kind: string;
}

/** The device, and what it would have refused. */
export class StrictDevice {
  /** To be given to `Gpu`. */
  readonly device: GPUDevice;
  /** What a real device would refuse, each sentence once. */
  readonly refused: Set<string> = new Set();
  /** Dispatches so far. */
  dispatches = 0;
  #limits: StrictLimits;
  #writtenBytes = 0; // and perhaps on their way

  /** A device with such limits. */
  constructor(limits: StrictLimits) {
    this.#limits = limits;
    this.device = {
      limits: { ...limits, maxComputeInvocationsPerWorkgroup: 256 },
      features: new Set(),
      lost: new Promise(() => {}),
      addEventListener() {},
      destroy() {},
      createBuffer: (made: Made) => this.#buffer(made),
      createShaderModule: ({ code }: GPUShaderModuleDescriptor) => declared(code),
      createComputePipeline: ({ label, compute }: GPUComputePipelineDescriptor) => {
        return { getBindGroupLayout: () => ({ label, bindings: compute.module }), label };
      },
      createBindGroup: ({ layout, entries }: GPUBindGroupDescriptor) =>
        this.#bind(layout as never, [...entries]),
      createCommandEncoder: () => ({
        beginComputePass: () => this.#pass(),
        copyBufferToBuffer: (from: Made, at: number, to: Made, offset: number, bytes: number) => {
          this.#range(from, at, bytes, 4);
          this.#range(to, offset, bytes, 4);
        },
        finish() {},
      }),
      queue: {
        writeBuffer: (to: Made, at: number, { byteLength }: ArrayBufferView) => {
          this.#writtenBytes += byteLength;
          const isTooMuch = this.#writtenBytes > MAX_WRITTEN_BYTES;
          this.#refuse(isTooMuch, `${to.label}: ${this.#writtenBytes} bytes on their way`);
          this.#range(to, at, byteLength, 4);
        },
        submit() {},
        onSubmittedWorkDone: () => this.#wait(),
      },
    } as unknown as GPUDevice;
  }

  #refuse(isRefused: boolean, what: string): void {
    if (isRefused) this.refused.add(what);
  }

  /** In Deno the call is over when all that was submitted is. */
  #wait(): Promise<void> {
    this.#writtenBytes = 0;
    return Promise.resolve();
  }

  #buffer({ label, size, usage }: Made): unknown {
    const { maxBufferSize } = this.#limits;
    this.#refuse(size > maxBufferSize, `${label}: ${size} bytes, more than ${maxBufferSize}`);
    this.#refuse(!(size > 0 && size % 4 === 0), `${label}: ${size} bytes`);
    return {
      ...{ label, size, usage },
      destroy() {},
      mapAsync: () => this.#wait(),
      getMappedRange: (_: number, bytes: number) => new ArrayBuffer(bytes),
      unmap() {},
    };
  }

  #range({ label, size }: Made, at: number, bytes: number, alignment: number): void {
    const isAligned = at % alignment === 0 && bytes % 4 === 0;
    this.#refuse(!isAligned || at + bytes > size, `${label}: ${at} + ${bytes} of ${size} bytes`);
  }

  #bind(
    { label, bindings }: { readonly label: string; readonly bindings: readonly Declared[] },
    entries: readonly GPUBindGroupEntry[],
  ): unknown {
    const { length } = bindings.filter(({ kind }) => kind.startsWith("storage"));
    this.#refuse(length > MAX_STORAGE_BUFFERS, `${label}: ${length} storage buffers`);
    this.#refuse(entries.length !== bindings.length, `${label}: ${entries.length} entries`);
    const written = new Map<unknown, boolean>(); // whether it is, of each buffer
    entries.forEach(({ resource }, i) => {
      const { kind, name } = bindings[i]!;
      const { buffer, offset = 0, size } = resource as GPUBufferBinding;
      const made = buffer as unknown as Made;
      const seen = size ?? made.size - offset;
      const isUniform = kind === "uniform";
      const most = isUniform ? MAX_UNIFORM_BYTES : this.#limits.maxStorageBufferBindingSize;
      this.#refuse(seen > most, `${label}: ${seen} bytes of ${name}, more than ${most}`);
      this.#range(made, offset, seen, OFFSET_ALIGNMENT);
      const usage = isUniform ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE;
      this.#refuse((made.usage & usage) === 0, `${label}: ${name} is not for that`);
      const isWritten = kind.endsWith("read_write");
      const isShared = written.has(buffer) && (isWritten || written.get(buffer)!);
      this.#refuse(isShared, `${label}: ${name} shares its buffer, which is written`);
      written.set(buffer, isWritten);
    });
    return {};
  }

  #pass(): unknown {
    let stage = "";
    return {
      setPipeline: ({ label }: GPUComputePipeline) => stage = label,
      setBindGroup() {},
      dispatchWorkgroups: (...workgroups: number[]) => {
        this.dispatches++;
        const isTaken = workgroups.every((n) =>
          Number.isInteger(n) && n > 0 && n <= MAX_WORKGROUPS
        );
        this.#refuse(!isTaken, `${stage}: ${workgroups} workgroups`);
      },
      end() {},
    };
  }
}

/** The bindings that a kernel declares, by their numbers. */
function declared(code: string): Declared[] {
  const bindings: Declared[] = [];
  for (
    const [, i, kind, name] of code.matchAll(/^@group\(0\) @binding\((\d+)\) var<(.+)> (\w+):/gm)
  ) {
    bindings[Number(i)] = { kind: kind!, name: name! };
  }
  return bindings;
}
