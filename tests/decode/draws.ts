/**
 * The sampled choice in float64, and draws from kernels/sample.wgsl to hold against it.
 *
 * @module
 */
import type { Gpu } from "../../kernels/device.ts";
import { Compiler, encode } from "../../kernels/compiler.ts";
import { MAX_ROWS, SLICE } from "../../kernels/stages.ts";
import { type Sampling, samplingUniform, seenTokens } from "../../decode/sampling.ts";

/**
 * The probability of each token: repetition penalty, temperature, top-k, top-p, min-p as Hugging Face
 * transformers applies them, save that tokens of equal logits are kept or dropped together.
 */
export function probabilities(
  logits: ArrayLike<number>,
  options: Sampling,
  text: readonly number[],
): Float64Array {
  const { temperature, topK, topP, minP, repetitionPenalty } = options;
  const scores = Float64Array.from(logits);
  for (const token of new Set(text)) {
    scores[token]! *= scores[token]! > 0 ? 1 / repetitionPenalty : repetitionPenalty;
  }
  const sorted = Float64Array.from(scores, (score) => score / temperature).sort().reverse();
  let lowest = topK > 0 ? sorted[Math.min(topK, sorted.length) - 1]! : -Infinity;
  const weight = (score: number) => Math.exp(score - sorted[0]!);
  const kept = sorted.filter((score) => score >= lowest);
  const all = kept.reduce((sum, score) => sum + weight(score), 0);
  let sum = 0;
  const last = topP < 1 ? kept.find((score) => (sum += weight(score)) >= topP * all) : undefined;
  lowest = Math.max(lowest, last ?? -Infinity, minP > 0 ? sorted[0]! + Math.log(minP) : -Infinity);
  const weights = scores.map((s) => s / temperature >= lowest ? weight(s / temperature) : 0);
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/**
 * Draws tokens with the kernel.
 *
 * @param logits Of every position: [vocab_size].
 * @param text Tokens that the repetition penalty counts.
 * @param seeds One seed for each pass of {@linkcode MAX_ROWS} rows, which stand at consecutive positions.
 * @param firstPosition Of the first pass; the others follow.
 */
export async function draw(
  gpu: Gpu,
  logits: Float32Array<ArrayBuffer>,
  options: Sampling,
  text: readonly number[],
  seeds: readonly number[],
  firstPosition = 0,
): Promise<number[]> {
  const vocab = logits.length;
  const slices = Math.ceil(vocab / SLICE);
  const { queue } = gpu.device;
  const rows = gpu.buffer("rows", 4 * (5 + 4 * MAX_ROWS));
  const all = gpu.buffer("logits", MAX_ROWS * vocab * 4);
  const best = gpu.buffer("best", MAX_ROWS * slices * 8);
  const seen = gpu.buffer("seen", Math.ceil(vocab / 32) * 4);
  const uniform = gpu.uniform("options", new Array(6).fill(0));
  const drawn = gpu.buffer("drawn", seeds.length * best.size);
  for (let row = 0; row < MAX_ROWS; row++) queue.writeBuffer(all, row * vocab * 4, logits);
  queue.writeBuffer(seen, 0, seenTokens(text, vocab));
  const kernel = new Compiler(gpu).kernel("sample", {}, { VOCAB: vocab, SLICES: slices });
  const bindings = kernel.bind(rows, all, best, seen, uniform);
  const order = Array.from({ length: MAX_ROWS }, (_, i) => i);
  // All rows hang on row 0 and say what row 0 says, a token that was seen or none: token 0 has to be in `text`
  // when the penalty is on.
  const none = new Array<number>(MAX_ROWS).fill(0);
  seeds.forEach((seed, pass) => {
    const base = firstPosition + pass * MAX_ROWS;
    queue.writeBuffer(rows, 0, new Uint32Array([MAX_ROWS, ...none, ...none, ...order, base]));
    queue.writeBuffer(uniform, 0, samplingUniform({ ...options, seed }));
    const encoder = gpu.device.createCommandEncoder();
    const compute = encoder.beginComputePass();
    encode(compute, [{ kernel, bindings, workgroups: [MAX_ROWS] }]);
    compute.end();
    encoder.copyBufferToBuffer(best, 0, drawn, pass * best.size, best.size);
    queue.submit([encoder.finish()]);
  });
  const words = new Uint32Array(await gpu.read(drawn));
  for (const buffer of [rows, all, best, seen, uniform, drawn]) gpu.free(buffer);
  const stride = best.size / 4;
  return seeds.flatMap((_, pass) =>
    order.map((row) => words[pass * stride + row * slices * 2 + 1]!)
  );
}

/**
 * How far counts are from what was expected, in standard deviations (Pearson's chi-square through Wilson and
 * Hilferty's cube root). Cells that expect fewer than 5 are put together.
 */
export function surprise(counts: ArrayLike<number>, expected: ArrayLike<number>): number {
  let chiSquare = 0;
  let cells = 0;
  let restCount = 0;
  let restExpected = 0;
  const add = (count: number, expectation: number) => {
    chiSquare += (count - expectation) ** 2 / expectation;
    cells++;
  };
  for (let i = 0; i < expected.length; i++) {
    if (expected[i]! >= 5) {
      add(counts[i]!, expected[i]!);
    } else {
      restCount += counts[i]!;
      restExpected += expected[i]!;
    }
  }
  if (restExpected >= 1) add(restCount, restExpected);
  const freedom = cells - 1;
  if (freedom < 1) return 0;
  const spread = 2 / (9 * freedom);
  return (Math.cbrt(chiSquare / freedom) - (1 - spread)) / Math.sqrt(spread);
}
