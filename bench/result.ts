/**
 * What a run of an engine is kept as: bench/end_to_end.ts and bench/peers/ write it, bench/report.ts draws it.
 * All times are milliseconds. What was not measured is null or left out.
 *
 * @module
 */
import type { Profile } from "../kernels/profile.ts";

/** What one engine did on one device. */
export interface EndToEndResult {
  readonly kind: "end-to-end";
  /** "Ditto", or a peer's name. */
  readonly engine: string;
  /** The engine's version; Ditto's is its commit, with "+" behind it where files differ from that. */
  readonly version: string | null;
  /** When it ended, ISO 8601. */
  readonly date: string;
  readonly device: string;
  readonly driver: string | null;
  /** Whether the CPU plays the device, or is it. */
  readonly isSoftware: boolean;
  /** What else has to be known of the run. */
  readonly note?: string;
  /** "Deno 2.9.6", say. */
  readonly runtime: string;
  /** As in bench/shapes.ts; weights are made up. */
  readonly shape: string;
  readonly layers: number;
  /** Whether these are all of the shape's layers. */
  readonly isWhole: boolean;
  /** How weights are stored: bf16, q8, … */
  readonly dtype: string;
  /** What prompts were multiplied in. */
  readonly promptPrecision?: "f16" | "f32";
  /** Ditto's choices among its kernels, measured when the model was loaded. */
  readonly profile?: Profile;
  /** Drafts of a pass at most: `LanguageModel.maxDrafts`, 31 where passes of all sizes are lossless. */
  readonly maxDrafts?: number;
  /** Bytes a second that a copy reads and writes together, in the same run. */
  readonly copyBytesPerSecond: number | null;
  /** Multiply-adds of f32 a second, in the same run. */
  readonly multiplyAddsPerSecond: number | null;
  /** Bytes of weights that a pass reads. */
  readonly bytesPerPass: number | null;
  readonly prefill: readonly Prefill[];
  readonly plain: readonly Plain[];
  /** Cost of a pass by its number of rows, relative to one row. */
  readonly rowCosts: Readonly<Record<string, number>> | null;
  readonly replays: readonly Replay[];
}

/** A prompt of made-up tokens going through the model. */
export interface Prefill {
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Of the device's own multiply-add rate. */
  readonly fractionOfMultiplyAdds: number | null;
}

/** Decoding without lookup. */
export interface Plain {
  /** Tokens of the prompt before it. */
  readonly context: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Of the device's own copy bandwidth, counting the weights alone. */
  readonly fractionOfCopy: number | null;
  /** CPU time of the whole process a step; null where the CPU plays the device. */
  readonly cpuMsPerStep: number | null;
}

/**
 * Decoding with lookup while recorded answers are replayed: the tokens come from the recording, so the pattern
 * of acceptance is real though the weights are made up.
 */
export interface Replay {
  /** Ditto's drafter, or a peer's name for its own. */
  readonly drafter: string;
  /** The recording's file name. */
  readonly recording: string;
  /** Figures by task, of `answers`. */
  readonly tasks: Readonly<Record<string, TaskFigures>>;
  readonly answers: readonly ReplayedAnswer[];
}

/** One replayed answer. */
export interface ReplayedAnswer {
  readonly task: string;
  /** MT-bench's, say. */
  readonly category: string | null;
  readonly promptTokens: number;
  readonly tokens: number;
  /** Passes with lookup; null where the engine does not tell. */
  readonly passes: number | null;
  /** Decoding without lookup. */
  readonly plainMs: number;
  /** Decoding with lookup. */
  readonly lookupMs: number;
}

/** What the answers of a task come to. */
export interface TaskFigures {
  readonly answers: number;
  readonly tokensPerPass: { readonly total: number; readonly mean: number } | null;
  readonly plainTokensPerSecond: number;
  readonly tokensPerSecond: number;
  /** Times as fast as without lookup: all together, mean of the answers, the worst answer. */
  readonly speed: { readonly total: number; readonly mean: number; readonly min: number };
}

/** Puts answers together by task. */
export function taskFigures(answers: readonly ReplayedAnswer[]): Record<string, TaskFigures> {
  const tasks = Map.groupBy(answers, ({ task }) => task);
  return Object.fromEntries([...tasks].map(([task, of]) => {
    const [tokens, plainMs, lookupMs] = (["tokens", "plainMs", "lookupMs"] as const)
      .map((key) => of.reduce((sum, answer) => sum + answer[key], 0)) as [number, number, number];
    const speeds = of.map((answer) => answer.plainMs / answer.lookupMs);
    const perPass = of.map((answer) => answer.passes && answer.tokens / answer.passes);
    const passes = of.reduce((sum, answer) => sum + (answer.passes ?? NaN), 0);
    return [task, {
      answers: of.length,
      tokensPerPass: perPass.every((count) => count !== null)
        ? { total: tokens / passes, mean: mean(perPass) }
        : null,
      plainTokensPerSecond: tokens / plainMs * 1000,
      tokensPerSecond: tokens / lookupMs * 1000,
      speed: { total: plainMs / lookupMs, mean: mean(speeds), min: Math.min(...speeds) },
    }];
  }));
}

/** The arithmetic mean. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
