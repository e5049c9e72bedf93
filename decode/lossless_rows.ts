/**
 * Whether passes of many rows give each row the bits that it has alone, tried with the model on the device at hand.
 *
 * The kernels add up in an order that does not know how many rows there are. But a compiler may regroup sums, and need not
 * treat two copies of a loop alike (kernels/lib/product.wgsl): on Metal, Deno leaves that freedom to it. Where one does so,
 * this is how it is found out, and passes stay as small as keeps answers the same with lookup and without.
 *
 * @module
 */
import { submit } from "../kernels/compiler.ts";
import type { Gpu } from "../kernels/device.ts";
import { MAX_ROWS } from "../kernels/stages.ts";
import { turn } from "../kernels/turn.ts";
import type { Forward } from "../model/forward.ts";
import { chain, type Row, rowWords } from "./rows.ts";

/** Row counts that are tried: all copies of loops over rows, and of those over their queries. */
const COUNTS = [2, 4, 8, 16, MAX_ROWS] as const;
/** Where in the text the last row stands: in its third chunk of attention, and most of those it follows in the second. */
const POSITION = 260;
/** Dispatches of a submission: drivers give up on one that takes seconds, and Deno 2.9 does not survive that. */
const DISPATCHES = 16;
/** After so long no more is tried, and what was not tried is not used: more rows would hardly pay on a device this slow. */
const PATIENCE_MS = 10_000;

/** Whether a value can be what {@linkcode losslessRows} found. */
export function isLosslessRows(value: unknown): value is number {
  return value === 1 || (COUNTS as readonly unknown[]).includes(value);
}

/**
 * Tries passes of more and more rows: a row's logits have to be those it has alone, whether it stands beside others, or
 * below drafts whose keys and values are not in the ring yet.
 *
 * @param model Its pass, whose cache is overwritten around position 260.
 * @param signal Ends it early; it then fails with the signal's reason.
 * @returns Rows that a pass may have: 32, or fewer where some differ or the device is slow; 1 if already two differ.
 */
export async function losslessRows(
  gpu: Gpu,
  { forward, vocabSize, context }: {
    readonly forward: Forward;
    readonly vocabSize: number;
    readonly context: number;
  },
  signal?: AbortSignal,
): Promise<number> {
  const run = async (rows: readonly Row[], base: number, committed = 0) => {
    gpu.device.queue.writeBuffer(forward.rows, 0, rowWords(rows, base, committed));
    const dispatches = forward.dispatches(rows.length, base + rows.length);
    for (let i = 0; i < dispatches.length; i += DISPATCHES) {
      signal?.throwIfAborted();
      submit(gpu.device, dispatches.slice(i, i + DISPATCHES));
      await turn();
    }
  };
  const logits = async (row: number, count = 1) =>
    new Uint32Array(
      await gpu.read(forward.logits, row * vocabSize * 4, count * vocabSize * 4),
    );
  // Some that are in use: the last of a vocabulary may have no more than zeros.
  const text = Array.from(
    { length: Math.min(MAX_ROWS, context) },
    (_, i) => Math.floor(vocabSize * (2 + 5 * i % 17 / 4) / 8),
  );
  const position = Math.min(POSITION, context - 1);
  const [last] = chain(text.at(-1)!, []);
  await run([last!], position);
  await logits(0); // by now the driver has compiled all kernels
  const start = performance.now();
  let found = 1;
  for (const count of COUNTS) {
    if (performance.now() - start > PATIENCE_MS) break;
    const [first = 0, ...drafts] = text.slice(-count);
    const base = position - drafts.length;
    // Plain decoding has those before it in the ring.
    if (drafts.length > 0) await run(chain(first, drafts.slice(0, -1)), base);
    await run([last!], position, drafts.length);
    const alone = await logits(0);
    await run(new Array(count).fill(last), position);
    const beside = await logits(0, count);
    await run(chain(first, drafts), base);
    const below = await logits(drafts.length);
    const isOther = (bits: number, i: number) => bits !== alone[i % vocabSize];
    if (beside.some(isOther) || below.some(isOther)) break;
    found = count;
  }
  return found;
}
