/**
 * What a generation took, in words and as JSON.
 *
 * @module
 */
import type { GenerationResult } from "../mod.ts";

/** Bytes as a person reads them, such as `14.5 GB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) bytes /= 1000, unit++;
  return `${unit === 0 ? Math.round(bytes) : Number(bytes.toPrecision(3))} ${units[unit]}`;
}

/** Milliseconds as a person reads them, such as `1.52 s`. */
export function msText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** A count with its noun, such as `1 token` or `2 tokens`. */
export function countText(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** The lines that close an answer on standard error. */
export function summary(result: GenerationResult): string {
  const { tokens, passes, drafted, accepted, promptTokens, cachedPromptTokens, timing } = result;
  const { prefillMs, decodeMs } = timing;
  // The last token of the prompt goes through with the first pass.
  const prefilled = promptTokens - cachedPromptTokens - 1;
  const prefillRate = prefillMs === 0 ? 0 : prefilled / prefillMs * 1000;
  if (result.stopReason === "aborted" && passes === 0) {
    return `The prompt of ${countText(promptTokens, "token")} was interrupted after ${
      msText(prefillMs)
    }.`;
  }
  return [
    `${countText(tokens.length, "token")} in ${countText(passes, "pass", "passes")}: ` +
    `${result.tokensPerPass.toFixed(2)} tokens per pass; ` +
    `${accepted} of ${countText(drafted, "draft")} accepted`,
    `prefill ${msText(prefillMs)} for ${prefilled} of ${countText(promptTokens, "token")} ` +
    `(${prefillRate.toFixed(0)} tokens a second), decode ${msText(decodeMs)} ` +
    `(${result.tokensPerSecond.toFixed(1)} tokens a second); ${STOPS[result.stopReason]}`,
  ].join("\n");
}

const STOPS = {
  eos: "ended by the model",
  length: "ended at the largest length",
  stop: "ended at a stop text",
  aborted: "interrupted",
} satisfies Record<GenerationResult["stopReason"], string>;

/** The object that --json prints. */
export function jsonReport(result: GenerationResult, loadMs: number, device: string): string {
  const { promptTokens, tokens, text, passes, drafted, accepted, stopReason, timing } = result;
  return JSON.stringify({
    promptTokens,
    tokens,
    text,
    passes,
    drafted,
    accepted,
    stopReason,
    timing: { loadMs, ...timing },
    tokensPerPass: result.tokensPerPass,
    tokensPerSecond: result.tokensPerSecond,
    device,
    ...(result.logitsDigest !== undefined && { logitsDigest: result.logitsDigest }),
  });
}
