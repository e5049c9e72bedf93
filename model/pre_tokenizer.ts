import { DittoError, show } from "./errors.ts";
import { isObject, type JsonObject } from "./json.ts";

/** How GPT-2 splits text, in Hugging Face's library in Rust. */
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/** What Rust takes for a punctuation character. */
const PUNCTUATION = "[\\p{P}!-/:-@\\[-`{-~]";
/** What Rust takes for part of a word. */
const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

/**
 * Writes a `pre_tokenizer` so that `@huggingface/tokenizers` splits text as Hugging Face's library in Rust
 * does with the original.
 *
 * @param json The `tokenizer.json`.
 * @param path Where it lies, for the message.
 * @throws {DittoError} If that is not possible.
 */
export function mendPreTokenizer(
  { pre_tokenizer, normalizer, model }: JsonObject,
  path: string,
): unknown {
  const steps = pre_tokenizer == null ? [] : flatten(pre_tokenizer, "pretokenizers");
  const pretokenizers = steps.flatMap((step, i) => {
    const unsupported = () =>
      new DittoError(
        `${path} has a pre_tokenizer ${
          show(step)
        }, which is not supported: give token ids, without the file (--prompt-ids ` +
          `on the command line).`,
      );
    // The library would put a space before each piece that an earlier step made.
    if (i > 0 && Object(step).prepend_scheme === "first") throw unsupported();
    return mendStep(step, normalizer, unsupported);
  });
  if (endsBeforeSpaces(model)) pretokenizers.push(split(WORDS));
  return { type: "Sequence", pretokenizers };
}

/** A word with the spaces before it, as SentencePiece writes them, or what is before the first. */
const WORDS = "▁+[^▁]*|[^▁]+";

/**
 * Whether no token of a BPE model goes on with a space after anything else. Then no merge does, and a text's tokens are those
 * of its words, each with the spaces before it. Found word by word, most of them in the library's cache, 100,000 letters take
 * 0.08 s so and took 0.4; 400,000 take 0.2 s and took 1.9.
 */
function endsBeforeSpaces(model: unknown): boolean {
  const { vocab, ignore_merges, continuing_subword_prefix, end_of_word_suffix } = Object(model);
  if (ignore_merges || continuing_subword_prefix || end_of_word_suffix) return false;
  const tokens = Object.keys(Object(vocab));
  return tokens.includes("▁") && !tokens.some((token) => /[^▁]▁/.test(token));
}

/** The steps that do in the library what this one does in Rust. */
function mendStep(
  step: unknown,
  normalizer: unknown,
  unsupported: () => DittoError,
): unknown[] {
  if (!isObject(step)) throw unsupported();
  switch (step.type) {
    case "ByteLevel": // the library's pattern has another \s
      if (step.use_regex === false) return [step];
      return [
        ...step.add_prefix_space === true ? [PREFIX] : [],
        split(GPT2),
        { ...step, use_regex: false, add_prefix_space: false },
      ];
    case "Digits": // the library knows ASCII's only
      return [split(step.individual_digits === true ? "\\p{N}" : "\\p{N}+")];
    case "Metaspace": { // the library never splits; in Rust that is the default
      if (step.split === false) return [step];
      const { replacement = "▁" } = step;
      if (typeof replacement !== "string" || [...replacement].length !== 1) throw unsupported();
      const space = RegExp.escape(replacement);
      return [step, split(`${space}[^${space}]*|[^${space}]+`)];
    }
    case "Punctuation": { // the library makes one piece of neighbours, always
      const { behavior = "Isolated" } = step;
      if (behavior !== "Isolated" && behavior !== "Contiguous") throw unsupported();
      return [split(behavior === "Isolated" ? PUNCTUATION : `${PUNCTUATION}+`)];
    }
    case "Split":
      return mendSplit(step, normalizer, unsupported);
    case "Whitespace":
      return [split(`[${WORD}]+|[^${WORD}\\s]+`, "Removed", true)];
    case "WhitespaceSplit":
      return [split("\\s+", "Removed")];
    default:
      throw unsupported();
  }
}

/** Puts a space before text that does not begin with one. */
const PREFIX = { type: "Metaspace", replacement: " ", prepend_scheme: "always", split: false };

function split(Regex: string, behavior = "Isolated", invert = false): JsonObject {
  return { type: "Split", pattern: { Regex }, behavior, invert };
}

/** The library does not know behaviours other than these, and takes them for Isolated. */
function mendSplit(
  step: JsonObject,
  normalizer: unknown,
  unsupported: () => DittoError,
): unknown[] {
  const { String: text, Regex: regex } = Object(step.pattern);
  if (typeof text !== "string" && typeof regex !== "string") throw unsupported();
  if (typeof text === "string" && isReplaced(text, normalizer)) return []; // as in Gemma's
  const pattern: string = regex ?? RegExp.escape(text);
  const { behavior, invert = false } = step;
  if (behavior === "Isolated" && invert === false) return [split(pattern)];
  if (behavior !== "Removed") throw unsupported();
  // JavaScript keeps what a group captures of a separator.
  if (invert === false && /\((?!\?(?:[:=!>]|i:|<[=!]))/.test(pattern.replace(/\\./gs, ""))) {
    throw unsupported();
  }
  return [split(pattern, behavior, invert === true)];
}

/** True if normalized text never contains this. */
function isReplaced(text: string, normalizer: unknown): boolean {
  const last = flatten(normalizer, "normalizers").at(-1);
  return isObject(last) && last.type === "Replace" && text !== "" &&
    Object(last.pattern).String === text && typeof last.content === "string" &&
    [...text].every((character) => !(last.content as string).includes(character));
}

/** A Sequence's steps, nested ones too, in order. */
export function flatten(
  step: unknown,
  field: "pretokenizers" | "normalizers" | "decoders",
): unknown[] {
  const steps = isObject(step) && step.type === "Sequence" ? step[field] : null;
  return Array.isArray(steps) ? steps.flatMap((step) => flatten(step, field)) : [step];
}
