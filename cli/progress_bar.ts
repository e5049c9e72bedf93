/**
 * A progress bar for a terminal: how much of a file is loaded, and how fast.
 *
 * @module
 */
import { type LanguageModel, loadModel, type LoadOptions, type LoadProgress } from "../mod.ts";
import { bytesText } from "./figures.ts";

/** The bar is drawn anew at most this often, in milliseconds. */
const INTERVAL_MS = 100;
const WIDTH = 30;

/** Draws a line on standard error again and again, and takes it away at the end. */
export class ProgressBar implements Disposable {
  #start = performance.now();
  #drawn = 0;
  #afterwards: string | null;

  /** `afterwards`: what to say once all is loaded, until the line is taken away. */
  constructor(afterwards: string | null = null) {
    this.#afterwards = afterwards;
  }

  /** Shows how far loading is. */
  update({ loadedBytes, totalBytes }: LoadProgress): void {
    const now = performance.now();
    const isDone = loadedBytes >= totalBytes;
    if (!isDone && now - this.#drawn < INTERVAL_MS && this.#drawn > 0) return;
    this.#drawn = now;
    const line = isDone && this.#afterwards ||
      progressLine(loadedBytes, totalBytes, now - this.#start);
    draw(`\r${line}\x1b[K`);
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    if (this.#drawn > 0) draw("\r\x1b[K");
  }
}

function draw(text: string): void {
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  } catch {
    // The terminal is gone: that is no failure.
  }
}

/** Loads a model, and shows how far that is where standard error is a terminal. */
export async function loadShowing(
  directory: string | URL,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  if (!Deno.stderr.isTerminal()) return await loadModel(directory, options);
  using bar = new ProgressBar("Preparing kernels: the first time, this takes seconds …");
  return await loadModel(directory, {
    ...options,
    onProgress: (progress) => bar.update(progress),
  });
}

/** The line that says how far loading is after so many milliseconds. */
export function progressLine(loadedBytes: number, totalBytes: number, ms: number): string {
  const share = totalBytes === 0 ? 1 : loadedBytes / totalBytes;
  const full = Math.round(share * WIDTH);
  const rate = ms === 0 ? 0 : loadedBytes / ms * 1000;
  return `Loading [${"#".repeat(full)}${"-".repeat(WIDTH - full)}] ${
    String(Math.floor(share * 100)).padStart(3)
  }%  ${bytesText(loadedBytes)} of ${bytesText(totalBytes)}, ${bytesText(rate)}/s`;
}
