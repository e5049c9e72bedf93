/**
 * Recorded answers of a real model: what replays take in place of the model's choices.
 *
 * @module
 */
import { DittoError } from "../../kernels/errors.ts";
import type { MistralConfig } from "../../model/config.ts";
import { MAX_DIMENSION } from "../../model/fields.ts";
import { loadTokenizer, type Tokenizer } from "../../model/tokenizer.ts";

/** A prompt and the answer that the real model gave it. */
export interface RecordedAnswer {
  /** What kind of prompt it is; figures are kept apart by it. */
  readonly task: string;
  /** The kind within the task, where the recording tells one. */
  readonly category: string | null;
  /** The prompt's tokens, begin-of-sequence included; at least one. */
  readonly promptIds: readonly number[];
  /** The answer's tokens; at least one. */
  readonly outputIds: readonly number[];
}

/**
 * Reads recorded answers from a JSON lines file: an object a line with `task`, `prompt_ids`, `output_ids` and,
 * perhaps, `category`. Other keys and empty lines are passed over.
 *
 * @throws {DittoError} If the file cannot be read, has no answers, or a line is not as described.
 */
export async function readAnswers(path: string): Promise<RecordedAnswer[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new DittoError(`There is no file "${path}".`);
    }
    throw new DittoError(`"${path}" could not be read: ${(error as Error).message}`);
  }
  const answers: RecordedAnswer[] = [];
  text.split("\n").forEach((line, i) => {
    if (line.trim() !== "") answers.push(parseAnswer(line, `line ${i + 1} of "${path}"`));
  });
  if (answers.length === 0) throw new DittoError(`"${path}" holds no recorded answers.`);
  return answers;
}

/**
 * The tokenizer that answers were recorded with.
 *
 * @throws {DittoError} If the directory has none, or a damaged one, or one of more tokens than the model.
 */
export async function recordedTokenizer(
  directory: string,
  config: Pick<MistralConfig, "vocabSize" | "bosTokenId">,
): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(directory, config);
  if (tokenizer) return tokenizer;
  throw new DittoError(`There is no tokenizer.json in "${directory}".`);
}

/**
 * The words of the answers' tokens, as the tree drafter takes them: see `Tokenizer.words`.
 *
 * @param directory Of the tokenizer that they were recorded with.
 * @throws {DittoError} As {@linkcode recordedTokenizer} does.
 */
export async function readWords(
  directory: string,
  answers: readonly RecordedAnswer[],
): Promise<Uint32Array> {
  const any = { vocabSize: MAX_DIMENSION, bosTokenId: null };
  const tokenizer = await recordedTokenizer(directory, any);
  const ids = answers.flatMap(({ promptIds, outputIds }) => [...promptIds, ...outputIds]);
  return tokenizer.words(1 + ids.reduce((largest, id) => Math.max(largest, id), 0));
}

function parseAnswer(line: string, where: string): RecordedAnswer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new DittoError(`Recorded answers are JSON, an object a line; ${where} is not JSON.`);
  }
  const { task, category, prompt_ids, output_ids } = (value ?? {}) as Record<string, unknown>;
  if (typeof task !== "string") {
    throw new DittoError(`A recorded answer needs a "task", a string; ${where} has none.`);
  }
  return {
    task,
    category: typeof category === "string" ? category : null,
    promptIds: tokenIds(prompt_ids, "prompt_ids", where),
    outputIds: tokenIds(output_ids, "output_ids", where),
  };
}

function tokenIds(value: unknown, key: string, where: string): number[] {
  const isToken = (id: unknown) =>
    Number.isInteger(id) && id as number >= 0 && id as number < 2 ** 31;
  if (!Array.isArray(value) || value.length === 0 || !value.every(isToken)) {
    throw new DittoError(
      `A recorded answer needs "${key}", a list of one token id or more; ${where} has none.`,
    );
  }
  return value;
}
