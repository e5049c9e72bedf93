/**
 * The single measurements of bench/end_to_end.ts.
 *
 * @module
 */
import process from "node:process";
import type { GenerateOptions, GenerationResult, LanguageModel } from "../../mod.ts";
import type { Plain, Prefill, ReplayedAnswer } from "../result.ts";
import type { RecordedAnswer } from "../replay/answers.ts";

/** What the device can do at most, and what a token asks of it. */
export interface Yardstick {
  readonly copyBytesPerSecond: number | null;
  readonly multiplyAddsPerSecond: number | null;
  readonly bytesPerPass: number;
  /** Of the layers, which is all that a prompt goes through. */
  readonly multiplyAddsPerPromptToken: number;
}

/** Times prompts of so many made-up tokens; the fastest of `runs` counts, since others' work only ever adds. */
export async function measurePrefill(
  model: LanguageModel,
  tokens: number,
  runs: number,
  { multiplyAddsPerSecond, multiplyAddsPerPromptToken }: Yardstick,
): Promise<Prefill> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    times.push((await decode(model, tokens, 1)).timing.prefillMs);
  }
  const tokensPerSecond = tokens / Math.min(...times) * 1000;
  return {
    tokens,
    tokensPerSecond,
    fractionOfMultiplyAdds: multiplyAddsPerSecond &&
      tokensPerSecond * multiplyAddsPerPromptToken / multiplyAddsPerSecond,
  };
}

/** Times decoding without lookup after a prompt of `context` made-up tokens; the fastest of `runs` counts. */
export async function measurePlain(
  model: LanguageModel,
  context: number,
  tokens: number,
  runs: number,
  { copyBytesPerSecond, bytesPerPass }: Yardstick,
): Promise<Plain> {
  let ms = Infinity;
  let cpuMs = Infinity;
  for (let run = 0; run < runs; run++) {
    let before: NodeJS.CpuUsage | null = null;
    const generation = generate(model, context, tokens);
    // The prompt's CPU time is not decoding's: count from the first pass on.
    for await (const _ of generation) before ??= process.cpuUsage();
    const { user, system } = process.cpuUsage(before ?? undefined);
    const result = await generation.result();
    ms = Math.min(ms, result.timing.decodeMs / result.passes);
    cpuMs = Math.min(cpuMs, (user + system) / 1000 / Math.max(1, result.passes - 1));
  }
  return {
    context,
    tokens,
    tokensPerSecond: 1000 / ms,
    fractionOfCopy: copyBytesPerSecond && bytesPerPass / (ms / 1000) / copyBytesPerSecond,
    cpuMsPerStep: model.device.isSoftware ? null : cpuMs,
  };
}

/** How a replay drafts. */
export type Drafter = NonNullable<GenerateOptions["drafter"]>;

/**
 * Decodes a recorded answer's tokens without lookup, and with each of the drafters, in their order; `runs` times in turns.
 * The fastest of each counts: the end of an answer is seen up to some 10 ms late, which of a short one is a tenth.
 */
export async function replayAnswer(
  model: LanguageModel,
  { task, category, promptIds, outputIds }: RecordedAnswer,
  drafters: readonly Drafter[],
  runs: number,
): Promise<ReplayedAnswer[]> {
  const run = (options: GenerateOptions) =>
    model.generate(promptIds, {
      replay: outputIds,
      maxNewTokens: outputIds.length,
      ignoreEos: true,
      cachePrompt: false,
      ...options,
    }).result();
  let plainMs = Infinity;
  const replayed: ReplayedAnswer[] = [];
  for (let i = 0; i < runs; i++) {
    plainMs = Math.min(plainMs, (await run({ promptLookupNumTokens: 0 })).timing.decodeMs);
    for (const [of, drafter] of drafters.entries()) {
      const lookup = await run({ drafter });
      replayed[of] = {
        task,
        category,
        promptTokens: promptIds.length,
        tokens: lookup.tokens.length,
        passes: lookup.passes,
        plainMs,
        lookupMs: Math.min(replayed[of]?.lookupMs ?? Infinity, lookup.timing.decodeMs),
      };
    }
  }
  return replayed;
}

async function decode(
  model: LanguageModel,
  promptLength: number,
  maxNewTokens: number,
): Promise<GenerationResult> {
  return await generate(model, promptLength, maxNewTokens).result();
}

function generate(model: LanguageModel, promptLength: number, maxNewTokens: number) {
  const { vocabSize } = model.config;
  const prompt = Array.from({ length: promptLength }, (_, i) => 3 + i * 7919 % (vocabSize - 3));
  return model.generate(prompt, {
    maxNewTokens,
    promptLookupNumTokens: 0,
    ignoreEos: true,
    cachePrompt: false,
  });
}
