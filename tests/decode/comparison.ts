/**
 * Comparing a generation with lookup to the same without, to the bit.
 *
 * @module
 */
import { loadFrom } from "../../decode/load_model.ts";
import { UNMEASURED_ROW_COSTS } from "../../decode/row_costs.ts";
import type { GenerateOptions, GenerationResult, LanguageModel, LoadOptions } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import type { WeightSource } from "../../model/weights.ts";

/** The checkpoints of tests/fixtures/ whose kernels differ, in pairs of which neither takes much longer. */
export const FIXTURE_PAIRS = [
  ["tiny-gqa-bf16", "window-f32"],
  ["headdim-f16", "llama-f16"],
  ["nemo-bf16", "odd-f32"],
  ["shards-f32", "tied-bf16"],
  ["ministral3-bf16", "mistral-fp8"],
] as const;

/** All checkpoints of tests/fixtures/; the last differs from another in the table of its positions' turns alone. */
export const FIXTURES = [...FIXTURE_PAIRS.flat(), "llama3-f16"] as const;

/** A loaded checkpoint. */
export class Fixture implements Disposable {
  /** Drafts that were verified, and that were right, so far. */
  readonly tally = { drafted: 0, accepted: 0 };

  private constructor(
    /** Its folder's name. */
    readonly name: string,
    /** How it was loaded. */
    readonly options: LoadOptions,
    readonly model: LanguageModel,
    /** Its end-of-sequence tokens, which a test may change between generations. */
    readonly eos: number[],
  ) {}

  /** Loads a checkpoint of tests/fixtures/. */
  static async load(name: string, options: LoadOptions = {}): Promise<Fixture> {
    using checkpoint = await openCheckpoint(new URL(`../fixtures/${name}`, import.meta.url));
    return await Fixture.of(name, checkpoint, options);
  }

  /** Loads weights from anywhere. What rows cost is not measured, which would take longer than most tests. */
  static async of(name: string, source: WeightSource, options: LoadOptions = {}): Promise<Fixture> {
    const eos = [...source.config.eosTokenIds];
    const changeable: WeightSource = {
      config: { ...source.config, eosTokenIds: eos },
      tensors: source.tensors,
      read: source.read.bind(source),
    };
    const model = await loadFrom(changeable, null, {
      context: 512,
      rowCosts: UNMEASURED_ROW_COSTS,
      ...options,
    });
    return new Fixture(name, options, model, eos);
  }

  [Symbol.dispose](): void {
    this.model[Symbol.dispose]();
  }
}

/**
 * Generates without lookup, then with each of several lookups, and throws where tokens, the reason for the
 * end or the digest of the logits differ.
 *
 * @param options What all have in common.
 * @param lookups What is different about each.
 * @returns The result without lookup.
 */
export async function assertLossless(
  fixture: Fixture,
  prompt: readonly number[],
  options: GenerateOptions,
  lookups: readonly GenerateOptions[],
): Promise<GenerationResult> {
  const generate = (more: GenerateOptions) =>
    fixture.model.generate(prompt, {
      logitsDigest: true,
      submissionsAhead: 8,
      cachePrompt: false,
      ...options,
      ...more,
    }).result();
  const plain = await generate({ promptLookupNumTokens: 0 });
  for (const [i, lookup] of lookups.entries()) {
    const result = await generate({ ...lookup, cachePrompt: i === 0 });
    fixture.tally.drafted += result.drafted;
    fixture.tally.accepted += result.accepted;
    if (isSame(plain, result)) continue;
    const shown = { ...options, ...lookup, cachePrompt: i === 0 };
    throw new Error(
      `${fixture.name} answers differently with lookup and without.\n` +
        `loaded with ${Deno.inspect(fixture.options)} on ${fixture.model.device.name}\n` +
        `options ${Deno.inspect(shown, { iterableLimit: 100 })}, eos ${
          Deno.inspect(fixture.eos)
        }\n` +
        `prompt [${prompt}]\n` +
        `without [${plain.tokens}] ${plain.stopReason}\n` +
        `with    [${result.tokens}] ${result.stopReason}\n` +
        `${await firstDifference(plain, result, lookup, generate)}`,
    );
  }
  return plain;
}

function isSame(a: GenerationResult, b: GenerationResult): boolean {
  return a.logitsDigest === b.logitsDigest && a.stopReason === b.stopReason &&
    a.tokens.length === b.tokens.length && a.tokens.every((token, i) => token === b.tokens[i]);
}

/** Where the difference begins: for tokens that is seen, for logits shorter answers are compared. */
async function firstDifference(
  plain: GenerationResult,
  result: GenerationResult,
  lookup: GenerateOptions,
  generate: (options: GenerateOptions) => Promise<GenerationResult>,
): Promise<string> {
  const longest = Math.max(plain.tokens.length, result.tokens.length);
  const differs = (_: unknown, i: number) => plain.tokens[i] !== result.tokens[i];
  const token = Array.from({ length: longest }).findIndex(differs);
  const seen = token < 0
    ? "The tokens are equal."
    : `Token ${token} of the answer is the first that differs.`;
  for (let maxNewTokens = 1; maxNewTokens <= longest; maxNewTokens++) {
    const one = await generate({ promptLookupNumTokens: 0, maxNewTokens });
    const other = await generate({ ...lookup, maxNewTokens });
    if (one.logitsDigest !== other.logitsDigest) {
      return `${seen} The logits of token ${maxNewTokens - 1} are the first that differ.`;
    }
  }
  return `${seen} The logits of no shorter answer differ; the second try was the same.`;
}
