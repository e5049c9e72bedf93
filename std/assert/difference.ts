/** Lines shown around a change. */
const CONTEXT = 3;

/** Above this many pairs of lines, lines are compared in place instead of aligned. */
const MAX_PAIRS = 1_000_000;

type Line = { sign: " " | "-" | "+"; text: string };

/** A value as text, whole and in a fixed order, one element or property a line. */
export function inspect(value: unknown): string {
  return Deno.inspect(value, {
    compact: false,
    depth: Infinity,
    getters: true,
    iterableLimit: Infinity,
    sorted: true,
    strAbbreviateSize: Infinity,
    trailingComma: true,
  });
}

/** The lines in which two values differ, `-` for the actual one's and `+` for the expected one's. */
export function difference(actual: unknown, expected: unknown): string {
  const changes = align(lines(actual), lines(expected));
  const near = new Set<number>();
  changes.forEach(({ sign }, at) => {
    if (sign === " ") return;
    for (let i = at - CONTEXT; i <= at + CONTEXT; i++) near.add(i);
  });

  const shown = [`    [Diff] ${paint("-", "Actual")} / ${paint("+", "Expected")}`, ""];
  for (let at = 0, skipped = 0; at <= changes.length; at++) {
    const line = changes[at];
    if (line !== undefined && !near.has(at)) {
      skipped++;
      continue;
    }
    if (skipped > 0) shown.push(`    … ${skipped} equal ${skipped === 1 ? "line" : "lines"} …`);
    if (line !== undefined) shown.push(paint(line.sign, `${line.sign}   ${line.text}`));
    skipped = 0;
  }
  return shown.join("\n");
}

/** A string's lines keep their escapes, so that a difference in white space can be seen. */
function lines(value: unknown): string[] {
  if (typeof value !== "string") return inspect(value).split("\n");
  return value.split(/(?<=\n)/).map((line) => JSON.stringify(line));
}

function paint(sign: Line["sign"], text: string): string {
  if (Deno.noColor || sign === " ") return text;
  return `\x1b[${sign === "-" ? 31 : 32}m${text}\x1b[0m`;
}

/** Aligns two texts by their longest common subsequence of lines. */
function align(a: string[], b: string[]): Line[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let endA = a.length;
  let endB = b.length;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  const equal = (text: string): Line => ({ sign: " ", text });
  const middleA = a.slice(start, endA);
  const middleB = b.slice(start, endB);
  return [
    ...a.slice(0, start).map(equal),
    ...(middleA.length * middleB.length > MAX_PAIRS ? alignInPlace : alignBest)(middleA, middleB),
    ...a.slice(endA).map(equal),
  ];
}

function alignInPlace(a: string[], b: string[]): Line[] {
  const result: Line[] = [];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [left, right] = [a[i], b[i]];
    if (left !== undefined && left === right) {
      result.push({ sign: " ", text: left });
      continue;
    }
    if (left !== undefined) result.push({ sign: "-", text: left });
    if (right !== undefined) result.push({ sign: "+", text: right });
  }
  return result;
}

function alignBest(a: string[], b: string[]): Line[] {
  // common[i * width + j]: how many lines a[i..] and b[j..] have in common
  const width = b.length + 1;
  const common = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j]!;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j]
        ? at(i + 1, j + 1) + 1
        : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const result: Line[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const [left, right] = [a[i], b[j]];
    if (left !== undefined && left === right) {
      result.push({ sign: " ", text: left });
      i++;
      j++;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      result.push({ sign: "-", text: left });
      i++;
    } else {
      result.push({ sign: "+", text: right! });
      j++;
    }
  }
  return result;
}
