/**
 * A GPU of which nothing is there but the clock, for what is decided by times.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";

/** What stands still between two passes, in nanoseconds: no part of either. */
const GAP = 12_345n;

/** A GPU whose passes take what is said of them. */
export class FakeClock {
  /** What to give to what times; only its clock is there. */
  readonly gpu: Gpu;
  #now = 1n << 60n; // beyond what a double tells apart
  #stamps: bigint[] = [];

  /** @param hasClock Whether it has a clock at all. */
  constructor({ hasClock = true, isSoftware = false } = {}) {
    const beginComputePass = ({ timestampWrites }: GPUComputePassDescriptor) => {
      const { beginningOfPassWriteIndex: begin, endOfPassWriteIndex: end } = timestampWrites!;
      this.#now += GAP;
      this.#stamps[begin!] = this.#now;
      return { end: () => this.#stamps[end!] = this.#now };
    };
    const device = {
      features: new Set(hasClock ? ["timestamp-query"] : []),
      createQuerySet: () => {
        this.#stamps = [];
        return { destroy() {} };
      },
      createCommandEncoder: () => ({ beginComputePass, resolveQuerySet() {}, finish() {} }),
      queue: { submit() {} },
    };
    const read = () => Promise.resolve(BigUint64Array.from(this.#stamps).buffer);
    const unlessFailed = (work: Promise<void>) => work;
    const gpu = {
      device,
      read,
      finish: () => Promise.resolve(),
      unlessFailed,
      info: { isSoftware },
      buffer: () => ({}),
      free() {},
    };
    this.gpu = gpu as unknown as Gpu;
  }

  /** To be called while a pass is encoded: it takes so many nanoseconds. */
  take(nanoseconds: number): void {
    this.#now += BigInt(nanoseconds);
  }
}
