/**
 * Ditto runs Mistral checkpoints on any WebGPU device and makes answers that repeat their prompt (summaries, answers
 * from documents, edits of code) faster by prompt lookup: it looks where in the text the last few tokens stood before,
 * guesses that what followed there comes next, and checks all guesses in one pass. The answer is the same, to the bit, as
 * without it.
 *
 * @example Stream an answer
 * ```ts
 * import { loadModel } from "./mod.ts";
 *
 * using model = await loadModel("demo/ditto-tiny");
 * const prompt = [{ role: "user", content: "Rename count to total: let count = 1; print(count);" }];
 * const generation = model.generate(prompt, { maxNewTokens: 20 });
 * for await (const piece of generation) console.log(piece.pass, piece.text);
 *
 * const { tokens, passes, tokensPerPass } = await generation.result();
 * console.log(`${tokens.length} tokens in ${passes} passes: ${tokensPerPass.toFixed(2)} a pass`);
 * ```
 *
 * @example End an answer after a second
 * ```ts
 * import { loadModel } from "./mod.ts";
 *
 * using model = await loadModel("demo/ditto-tiny");
 * const signal = AbortSignal.timeout(1000);
 * const chat = [{ role: "user", content: "Say it again." }];
 * const { text, stopReason } = await model.generate(chat, { signal }).result();
 * console.log(text, stopReason);
 * ```
 *
 * @module
 */
export { LanguageModel } from "./decode/language_model.ts";
export { loadModel, type LoadOptions } from "./decode/load_model.ts";
export {
  type GenerateOptions,
  Generation,
  type GenerationResult,
  type Piece,
  type StopReason,
} from "./decode/generation.ts";
export type { SamplingOptions } from "./decode/sampling.ts";
export { type DeviceInfo } from "./kernels/device.ts";
export { listDevices, type OpenOptions } from "./kernels/open_gpu.ts";
export type { Profile } from "./kernels/profile.ts";
export type { WeightStorage } from "./kernels/weight_types.ts";
export type { Prompt } from "./decode/prompt.ts";
export type { Architecture, MistralConfig } from "./model/config.ts";
export { DittoError, type DittoErrorCode } from "./model/errors.ts";
export type { Quantization } from "./model/quantization.ts";
export type {
  LinearScaling,
  Llama3Scaling,
  QueryScaling,
  RopeScaling,
  YarnScaling,
} from "./model/rope_parameters.ts";
export { saveQuantized, type SaveQuantizedOptions } from "./model/save_quantized.ts";
export type { MemoryNeed, PromptPrecision } from "./model/memory.ts";
export type { Message } from "./model/tokenizer.ts";
export type { LoadProgress } from "./model/weights.ts";
