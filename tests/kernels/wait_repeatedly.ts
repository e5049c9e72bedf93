/**
 * Waits 1000 times for 100 kB each, and prints how many of these are still there. Run with --expose-gc.
 *
 * @module
 */
import { openGpu } from "../../kernels/open_gpu.ts";

const collect = (globalThis as unknown as { gc(): void }).gc;
using gpu = await openGpu();
const results: WeakRef<Uint8Array>[] = [];
for (let i = 0; i < 1000; i++) {
  const work = Promise.resolve(new Uint8Array(100_000));
  results.push(new WeakRef(await gpu.unlessFailed(work, (what) => new Error(what))));
}
await new Promise((resolve) => setTimeout(resolve)); // a WeakRef holds what it was made of until the turn ends
collect();
console.log(results.filter((result) => result.deref()).length);
