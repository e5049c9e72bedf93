/**
 * The rest of the program, which waits while this one does: in Deno whoever waits for the GPU blocks the thread.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";

/**
 * How long signals, sockets and files may have to wait. Deno looks for them when it has nothing else to do, or every 61st
 * time that it looks for something: with `setImmediate()` alone Ctrl-C was seen after twelve waits (Deno 2.9.6).
 */
const PATIENCE_MS = 100;

let idled = 0; // when there was last nothing to do

/** Lets timers that are due run, and now and then whatever else the program waits for. Takes microseconds, or then 2 ms. */
export async function turn(): Promise<void> {
  if (performance.now() - idled < PATIENCE_MS) {
    await setImmediate();
    await setImmediate(); // timers run between the two
    return;
  }
  await new Promise((resolve) => setTimeout(resolve));
  idled = performance.now();
}
