/** A comment, and what opens an expression or a statement. */
const OUTSIDE = /\{#.*?#\}|\{\{|\{%/gs;
/** A string, a brace, and the end of a statement. */
const INSIDE = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|%\}|[{}]/gs;

/** A backslash in a Python string with what it makes of what follows. */
const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/gs;
const ESCAPED: Readonly<Record<string, string>> = {
  ...{ "\n": "", "\\": "\\", "'": "'", '"': '"' },
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" },
};

/**
 * Writes the strings of a template so that `@huggingface/jinja` reads them as Jinja in Python does. By itself it
 * does not know all of Python's escapes (Mistral Small 3.1's template ends lines of its text with a backslash), and
 * trims lines of a string as if they were the template's.
 *
 * @param source The template; its lines end with "\n".
 * @throws {Error} If a string has an escape that is damaged, or names a character.
 */
export function mendStrings(source: string): string {
  let mended = "";
  let position = 0;
  let depth = -1; // of braces in an expression or a statement; -1 outside
  while (true) {
    const token = depth < 0 ? OUTSIDE : INSIDE;
    token.lastIndex = position;
    const match = token.exec(source);
    if (match === null) return mended + source.slice(position);
    const [found] = match;
    const isString = found.startsWith("'") || found.startsWith('"');
    mended += source.slice(position, match.index);
    mended += isString ? literal(valueOf(found.slice(1, -1))) : found;
    position = token.lastIndex;
    if (found === "{{" || found === "{%") depth = 0;
    else if (found === "%}") depth = -1;
    else if (found === "{") depth++;
    else if (found === "}") depth--; // outside after the first one of "}}"
  }
}

/** What a Python string with this between its quotes holds. */
function valueOf(text: string): string {
  return text.replace(ESCAPE, (escape, octal, byte, unit, point, letter) => {
    if ("xuUN".includes(letter)) throw new Error(`the escape ${escape} in a string`); // \N{…} is a character's name
    if (letter !== undefined) return Object.hasOwn(ESCAPED, letter) ? ESCAPED[letter]! : escape;
    return String.fromCodePoint(octal ? parseInt(octal, 8) : parseInt(byte ?? unit ?? point, 16));
  });
}

/** A string in which the library can find nothing but this. */
function literal(value: string): string {
  const escaped = value.replace(
    /[^ \w]/g,
    (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
  );
  return `"${escaped}"`;
}
