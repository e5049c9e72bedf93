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
  #since = performance.now();
  #stamps: bigint[] = [];

  /**
   * @param hasClock Whether it has a clock at all.
   * @param tick Nanoseconds that it counts as one.
   */
  constructor({ hasClock = true, isSoftware = false, tick = 1 } = {}) {
    const ticks = () => this.#now * 1000n / BigInt(1000 * tick);
    const beginComputePass = ({ timestampWrites }: GPUComputePassDescriptor) => {
      const { beginningOfPassWriteIndex: begin, endOfPassWriteIndex: end } = timestampWrites!;
      const before = this.#since;
      this.#since = performance.now(); // the time between passes is the CPU's
      this.#now += GAP + BigInt(Math.round((this.#since - before) * 1e6));
      this.#stamps[begin!] = ticks();
      return { end: () => this.#stamps[end!] = ticks() };
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
