/**
 * Which of the kernels that are equal to the bit are fastest on the device at hand, measured on the model's
 * first layers.
 *
 * @module
 */
import { fastestOfEach } from "../kernels/clock.ts";
import type { BufferRegion, Gpu } from "../kernels/device.ts";
import { Compiler, encode } from "../kernels/compiler.ts";
import { type Profile, profileChoices } from "../kernels/profile.ts";
import { MAX_ROWS } from "../kernels/stages.ts";
import type { WeightStorage } from "../kernels/weight_types.ts";
import type { MistralConfig } from "../model/config.ts";
import { Forward } from "../model/forward.ts";
import { type Dimensions, dimensions } from "../model/memory.ts";
import { copyToTextures } from "../model/weight_textures.ts";
import type { Matrix, Weights } from "../model/weights.ts";
import { chain, rowWords } from "./rows.ts";

/** Layers that are timed: of a prompt's last layer only keys and values are computed. */
const LAYERS = 2;
/** Tokens of the text at whose end they are timed. */
const LENGTH = 512;
/** Rows of the passes that are timed: a plain step, and some that check drafts. */
const ROWS = [1, 8, 16] as const;
/** Rows of a prompt that are timed where all would take longer than this: drivers give up on a submission that takes seconds. */
const FEW_ROWS = 64;
const SLOW_MS = 300;
/** Each is timed this often; the fastest counts. */
const REPEATS = 6;
/** Bytes of weights that are read at least when these are timed alone: a small model's head takes 0.1 ms, which is too little. */
const TIMED_BYTES = 32 << 20;
/** How often, since other processes on the CPU disturb it. */
const STORAGE_REPEATS = 15;
/** What another choice has to gain in the mean, so that noise alone does not choose. */
const GAIN = 0.95;
/** What a plain step may lose by it: every answer has such steps, and some have no others. */
const LOSS = 1.02;

/**
 * Tries the choices one after another, and keeps what is faster.
 *
 * @param compiler Its profile is where to begin; what is compiled stays with it.
 * @param d The model's dimensions; less context is needed here.
 * @param signal Ends it early; it then fails with the signal's reason.
 * @returns The profile; null where the device has no clock.
 */
export async function measureProfile(
  gpu: Gpu,
  compiler: Compiler,
  config: MistralConfig,
  weights: Weights<BufferRegion>,
  d: Dimensions,
  signal?: AbortSignal,
): Promise<Profile | null> {
  const few = { ...weights, layers: weights.layers.slice(0, LAYERS) };
  const length = Math.min(LENGTH, d.context);
  const small = dimensions(config, length, d.cache, d.promptPrecision, d.promptRows);
  const time = async (name: keyof Profile, profile: Profile) => {
    signal?.throwIfAborted();
    const tried = compiler.withProfile(profile);
    using forward = new Forward(gpu, tried, config, few, small);
    await tried.compile(signal);
    return name === "promptProduct"
      ? await promptTimes(gpu, forward, small)
      : await fastestOfEach(gpu, decodeWork(gpu, forward, small), REPEATS);
  };
  const choices = profileChoices(gpu.info);
  let best = compiler.profile;
  for (const name of Object.keys(choices) as (keyof Profile)[]) {
    const others = choices[name].filter((value) => value !== best[name]);
    const isUnused = name === "promptProduct" && small.promptPrecision === "f16";
    if (others.length === 0 || isUnused) continue;
    if (name === "weightStorage") {
      signal?.throwIfAborted();
      const weightStorage = await fasterStorage(gpu, best, config, few, small);
      if (weightStorage === null) return null;
      best = { ...best, weightStorage };
      continue;
    }
    let least = await time(name, best);
    if (least === null) return null;
    for (const value of others) {
      const profile = { ...best, [name]: value };
      const found = await time(name, profile);
      if (!found || !isFaster(found, least)) continue;
      least = found;
      best = profile;
    }
  }
  return best;
}

type Work = (pass: GPUComputePassEncoder) => void;

/** Whether times are better than others of the same work, the first of which is a plain step or all there is. */
function isFaster(times: readonly number[], others: readonly number[]): boolean {
  const ratios = times.map((time, i) => time / others[i]!);
  const mean = ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
  return mean < GAIN && ratios[0]! <= LOSS;
}

/**
 * In what the head of a pass of one row reads its weights faster, or its first part, both tried in turns: what holds for it
 * holds for all products, and with compilers of their own these are not compiled for both.
 */
async function fasterStorage(
  gpu: Gpu,
  profile: Profile,
  config: MistralConfig,
  weights: Weights<BufferRegion>,
  d: Dimensions,
): Promise<WeightStorage | null> {
  const part = { ...weights.head, parts: weights.head.parts.slice(0, 1) };
  const inTexture = copyToTextures(gpu, part);
  const forwardFrom = (head: Matrix) =>
    new Forward(gpu, new Compiler(gpu, profile), config, { ...weights, head }, d);
  using textured = forwardFrom(inTexture);
  using buffered = forwardFrom(part);
  const heads = Math.ceil(TIMED_BYTES / part.parts[0]!.weights.size);
  const work = [textured, buffered].map((forward) => {
    gpu.device.queue.writeBuffer(forward.rows, 0, rowWords(chain(0, []), 0));
    const head = forward.dispatches(1, 1).slice(-1); // which ends a pass
    return (pass: GPUComputePassEncoder) => {
      for (let i = 0; i < heads; i++) encode(pass, head);
    };
  });
  try {
    const times = await fastestOfEach(gpu, work, STORAGE_REPEATS);
    if (!times) return null;
    return times[1]! < times[0]! * GAIN ? "buffer" : "texture";
  } finally {
    for (const { weights } of inTexture.parts) gpu.free(weights);
  }
}

function decodeWork(gpu: Gpu, forward: Forward, { context }: Dimensions): Work[] {
  const base = Math.max(0, context - MAX_ROWS);
  return ROWS.map((rows) => (pass) => {
    const words = rowWords(chain(0, new Array(rows - 1).fill(0)), base);
    gpu.device.queue.writeBuffer(forward.rows, 0, words);
    forward.encode(pass, MAX_ROWS, context);
  });
}

/** Nanoseconds that a row of a prompt's chunk takes; null where the device has no clock. */
async function promptTimes(
  gpu: Gpu,
  forward: Forward,
  { promptRows }: Dimensions,
): Promise<number[] | null> {
  const time = async (rows: number, repeats: number) => {
    const work: Work = (pass) => encode(pass, forward.promptDispatches(new Array(rows).fill(0), 0));
    const times = await fastestOfEach(gpu, [work], repeats);
    return times && times.map((time) => time / rows);
  };
  const few = Math.min(FEW_ROWS, promptRows);
  const first = await time(few, 1);
  if (!first) return null;
  const isSlow = first[0]! * promptRows > SLOW_MS * 1e6;
  return await time(isSlow ? few : promptRows, REPEATS);
}
