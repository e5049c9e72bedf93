/**
 * Checks of options, which fail with a sentence that names the option, what was found and what may be.
 *
 * @module
 */
import type { DeviceInfo } from "../kernels/device.ts";
import { hasFewRegisters } from "../kernels/profile.ts";
import { MAX_ROWS } from "../kernels/stages.ts";
import { inputError, show } from "../model/errors.ts";
import type { PromptPrecision } from "../model/memory.ts";
import type { Quantization } from "../model/quantization.ts";
import type { GenerateOptions } from "./generation.ts";
import { isRowCosts } from "./row_costs.ts";
import { GREEDY, type Sampling, type SamplingOptions } from "./sampling.ts";

/** The sampling that is asked for; greedy where nothing is. */
export function samplingOf(options: SamplingOptions): Sampling {
  return {
    temperature: number(options, "temperature", GREEDY.temperature, 0, 100),
    topK: integer(options, "topK", GREEDY.topK, 0, 2 ** 32 - 1),
    topP: number(options, "topP", GREEDY.topP, Number.MIN_VALUE, 1),
    minP: number(options, "minP", GREEDY.minP, 0, 1),
    repetitionPenalty: number(options, "repetitionPenalty", GREEDY.repetitionPenalty, 0.01, 100),
    seed: integer(options, "seed", GREEDY.seed, 0, 2 ** 32 - 1),
  };
}

/** Tokens of an answer at most. */
export function maxNewTokensOf(options: Pick<GenerateOptions, "maxNewTokens">): number {
  return integer(options, "maxNewTokens", 256, 0, Number.MAX_SAFE_INTEGER);
}

/** What weights are kept in, null for what the checkpoint has; `found`: what it is quantized to. */
export function checkQuantize(
  wanted: Quantization | undefined,
  found: Quantization | null,
): Quantization | null {
  if (wanted === undefined || wanted === found) return found;
  if (wanted !== "q8" && wanted !== "q4") {
    throw inputError(`The option quantize is ${show(wanted)}: it must be "q8" or "q4".`);
  }
  if (found === null) return wanted;
  throw inputError(
    `The checkpoint holds its weights in ${found} and cannot be quantized to ${wanted}: load it as it is, ` +
      `or quantize the checkpoint it was made from.`,
  );
}

/** What prompts are multiplied in. */
export function checkPromptPrecision(
  wanted: PromptPrecision | undefined,
  device: DeviceInfo,
): PromptPrecision {
  const { hasF16, isSoftware, name } = device;
  // A CPU that plays the device has no f16 and makes each operation from several; where registers are few, f16 takes more.
  const isFaster = hasF16 && !isSoftware && !hasFewRegisters(device);
  const precision = wanted ?? (isFaster ? "f16" : "f32");
  if (precision !== "f16" && precision !== "f32") {
    throw inputError(
      `The option promptPrecision is ${show(precision)}: it must be "f16" or "f32".`,
    );
  }
  if (precision === "f32" || hasF16) return precision;
  throw inputError(
    `The option promptPrecision is "f16", and ${name} does not compute in f16 (it lacks the feature ` +
      `shader-f16): leave the option out, or ask for "f32".`,
  );
}

/** Costs of passes by their rows; a copy, which stays as it is. */
export function checkRowCosts(costs: readonly number[]): readonly number[] {
  if (isRowCosts(costs)) return [...costs];
  throw inputError(
    `The option rowCosts is ${
      show(costs)
    }: it must be ${MAX_ROWS} numbers from 1 to 1000, the first 1 and ` +
      `none below the one before it.`,
  );
}

/** A yes or no. */
export function flag<Name extends string>(
  options: { readonly [K in Name]?: unknown },
  name: Name,
  fallback: boolean,
): boolean {
  const value = options[name] ?? fallback;
  if (typeof value === "boolean") return value;
  throw inputError(`The option ${name} is ${show(value)}: it must be true or false.`);
}

/** A number option within bounds. */
export function number<Name extends string>(
  options: { readonly [K in Name]?: unknown },
  name: Name,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = options[name] ?? fallback;
  if (typeof value === "number" && value >= min && value <= max) return value;
  const least = min === Number.MIN_VALUE ? "above 0" : `from ${min}`;
  throw inputError(
    `The option ${name} is ${show(value)}: it must be a number ${least} to ${max}.`,
  );
}

/** An integer option within bounds. */
export function integer<Name extends string>(
  options: { readonly [K in Name]?: unknown },
  name: Name,
  fallback: number,
  min: number,
  max: number,
): number {
  const value = options[name] ?? fallback;
  if (Number.isInteger(value) && value as number >= min && value as number <= max) {
    return value as number;
  }
  throw inputError(
    `The option ${name} is ${show(value)}: it must be an integer from ${min} to ${max}.`,
  );
}
