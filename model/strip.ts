import type { AddedToken } from "./added_tokens.ts";

/** White space in Rust; in JavaScript there is a byte-order mark besides, and no U+0085. */
const SPACE = /^\p{White_Space}$/u;

/**
 * Drops the white space that tokens with `lstrip` or `rstrip` take along. `@huggingface/tokenizers` would take it for
 * JavaScript's, and from tokens too.
 *
 * @param tokens Those that are found in a text before it is normalized; of two that begin at one place the longer counts.
 * @returns What a text becomes.
 */
export function stripper(tokens: readonly AddedToken[]): (text: string) => string {
  if (!tokens.some(({ lstrip, rstrip }) => lstrip || rstrip)) return (text) => text;
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const longestFirst = [...byContent.keys()].filter(Boolean).sort((a, b) => b.length - a.length);
  const found = new RegExp(`(${longestFirst.map(RegExp.escape).join("|")})`);
  return (text) => {
    const parts = text.split(found); // text and tokens by turns
    return parts.map((part, i) => {
      if (i % 2 === 1) return part;
      let [start, end] = [0, part.length];
      if (byContent.get(parts[i - 1]!)?.rstrip) { while (isSpace(part[start])) start++; }
      if (byContent.get(parts[i + 1]!)?.lstrip) {
        while (end > start && isSpace(part[end - 1])) end--;
      }
      return part.slice(start, end);
    }).join("");
  };
}

function isSpace(character: string | undefined): boolean {
  return character !== undefined && SPACE.test(character);
}
