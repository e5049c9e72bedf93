/**
 * Prompts for the tests of losslessness: text with copied and near-copied spans, in which drafts are found,
 * right for a while and then wrong.
 *
 * @module
 */
import type { Random } from "../random.ts";

/**
 * The length of the `i`-th prompt: short ones, because a prompt on a software device takes up to a
 * millisecond a token; of a hundred, three beyond an attention chunk (128) and one beyond a chunk of the prompt
 * (256).
 */
function someLength(random: Random, i: number): number {
  if (i % 100 === 99) return random.between(250, 330);
  if (i % 33 === 32) return random.between(110, 150);
  const [least, most] = random.pick([[1, 8], [9, 20], [9, 20], [21, 50]]);
  return random.between(least!, most!);
}

/** A span of the text so far, exactly, or with tokens changed, dropped or inserted. */
function copiedSpan(random: Random, text: readonly number[], vocabSize: number): number[] {
  const start = random.below(text.length);
  const span = text.slice(start, start + random.between(1, 40));
  for (let edits = random.pick([0, 0, 1, 1, 3]); edits > 0; edits--) {
    const inserted = random.chance(2 / 3) ? [random.below(vocabSize)] : [];
    span.splice(random.below(span.length + 1), random.below(2), ...inserted);
  }
  return span;
}

/** Fresh tokens: random ones, one token over and over, or a short period. */
function freshSpan(random: Random, vocabSize: number): number[] {
  const period = random.chance(0.8) ? Infinity : random.between(1, 3);
  const tokens = Array.from({ length: random.between(1, 30) }, () => random.below(vocabSize));
  return tokens.map((_, i) => tokens[i % period]!);
}

/**
 * A prompt with copied, near-copied and random spans.
 *
 * @param i Which it is; it decides about the length.
 * @param answers What the model said to other prompts: models that go by the last few tokens say it again.
 */
export function makePrompt(
  random: Random,
  i: number,
  vocabSize: number,
  answers: readonly (readonly number[])[] = [],
): number[] {
  const length = someLength(random, i);
  const text = freshSpan(random, vocabSize);
  while (text.length < length) {
    const kind = random.below(10);
    if (kind < 5) text.push(...copiedSpan(random, text, vocabSize));
    else if (kind < 8 || answers.length === 0) text.push(...freshSpan(random, vocabSize));
    else text.push(...random.pick(answers));
  }
  return text.slice(text.length - length);
}

/** An answer for a replay: spans copied from the prompt, so that drafts are accepted on any model. */
export function makeAnswer(
  random: Random,
  vocabSize: number,
  prompt: readonly number[],
  length: number,
): number[] {
  const text = [...prompt];
  while (text.length < prompt.length + length) {
    text.push(
      ...random.chance(0.7)
        ? copiedSpan(random, text, vocabSize)
        : freshSpan(random, vocabSize).slice(0, 5),
    );
  }
  return text.slice(prompt.length, prompt.length + length);
}
