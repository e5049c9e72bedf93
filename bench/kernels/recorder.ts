/**
 * Finds out what the engine dispatches, so that its stages can be timed one by one without knowing how they
 * are bound.
 *
 * A WebGPU device tells nothing of what was encoded. But it is an ordinary object: a property of its own hides
 * the method of its class. So bind groups are noted as they are made, and dispatches as they are encoded.
 *
 * @module
 */
import type { BufferRegion, Gpu } from "../../kernels/device.ts";

/** A buffer, a region of one, or a view of a texture. */
interface Labelled {
  readonly label: string;
}

/** A dispatch that the engine encoded. */
export interface Recorded {
  /** The stage, by its pipeline's label. */
  readonly stage: string;
  /** What it sees, in the order of binding numbers. */
  readonly bound: readonly Labelled[];
  /** Encodes it again. */
  readonly encode: (pass: GPUComputePassEncoder) => void;
}

/** Records what one device is asked to do. Make it before what is to be recorded makes its bind groups. */
export class Recorder {
  #device: GPUDevice;
  #bound = new WeakMap<GPUBindGroup, Labelled[]>();

  /** Begins to note bind groups. */
  constructor(gpu: Gpu) {
    this.#device = gpu.device;
    const createBindGroup = gpu.device.createBindGroup.bind(gpu.device);
    gpu.device.createBindGroup = (descriptor) => {
      const group = createBindGroup(descriptor);
      const bound = [...descriptor.entries].map(({ resource }) =>
        "label" in resource
          ? resource as BufferRegion | GPUTextureView
          : (resource as GPUBufferBinding).buffer
      );
      this.#bound.set(group, bound);
      return group;
    };
  }

  /** Runs something whose compute passes are noted and not executed. */
  async record(run: () => void | Promise<void>): Promise<Recorded[]> {
    const recorded: Recorded[] = [];
    const createCommandEncoder = this.#device.createCommandEncoder.bind(this.#device);
    this.#device.createCommandEncoder = (descriptor) => {
      const encoder = createCommandEncoder(descriptor);
      encoder.beginComputePass = () => this.#pass(recorded);
      return encoder;
    };
    try {
      await run();
    } finally {
      delete (this.#device as Partial<GPUDevice>).createCommandEncoder;
    }
    return recorded;
  }

  /** Stands for a compute pass. */
  #pass(recorded: Recorded[]): GPUComputePassEncoder {
    let pipeline: GPUComputePipeline;
    let bindings: GPUBindGroup;
    const pass = {
      setPipeline: (given: GPUComputePipeline) => pipeline = given,
      setBindGroup: (_index: number, given: GPUBindGroup) => bindings = given,
      dispatchWorkgroups: (x: number, y?: number, z?: number) => {
        const [program, group] = [pipeline, bindings];
        recorded.push({
          stage: program.label,
          bound: this.#bound.get(group) ?? [],
          encode: (pass) => {
            pass.setPipeline(program);
            pass.setBindGroup(0, group);
            pass.dispatchWorkgroups(x, y, z);
          },
        });
      },
      end: () => {},
    };
    return pass as unknown as GPUComputePassEncoder;
  }
}
