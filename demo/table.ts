/**
 * The figures that close the demo.
 *
 * @module
 */
import { msText } from "../cli/figures.ts";

/** What the answers to some questions took. */
export interface Row {
  /** What the row is about. */
  readonly task: string;
  /** Tokens of the answers, which are as many passes without lookup. */
  readonly tokens: number;
  /** Passes with lookup. */
  readonly passes: number;
  /** Milliseconds without lookup, from the prompt to the last token. */
  readonly plainMs: number;
  /** Milliseconds with lookup. */
  readonly lookupMs: number;
  /** Whether the answers with lookup and without are the same tokens. */
  readonly isEqual: boolean;
}

/** The sum of some rows. */
export function total(rows: readonly Row[]): Row {
  const sum = (of: (row: Row) => number) => rows.reduce((all, row) => all + of(row), 0);
  return {
    task: "all",
    tokens: sum(({ tokens }) => tokens),
    passes: sum(({ passes }) => passes),
    plainMs: sum(({ plainMs }) => plainMs),
    lookupMs: sum(({ lookupMs }) => lookupMs),
    isEqual: rows.every(({ isEqual }) => isEqual),
  };
}

const HEAD = [
  "task",
  "tokens",
  "passes",
  "tokens/pass",
  "passes saved",
  "plain",
  "lookup",
  "faster",
  "equal",
];

/** The rows and their sum as the lines of a table. */
export function table(rows: readonly Row[]): string {
  const cells = [...rows, total(rows)].map((row) => [
    row.task,
    String(row.tokens),
    String(row.passes),
    (row.tokens / row.passes).toFixed(2),
    `${row.tokens - row.passes} (${Math.round(100 * (1 - row.passes / row.tokens))}%)`,
    msText(row.plainMs),
    msText(row.lookupMs),
    `${(row.plainMs / row.lookupMs).toFixed(2)} x`,
    row.isEqual ? "yes" : "NO",
  ]);
  const widths = HEAD.map((head, i) =>
    Math.max(head.length, ...cells.map((row) => row[i]!.length))
  );
  const line = (row: readonly string[]) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ");
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [line(HEAD), rule, ...cells.slice(0, -1).map(line), rule, line(cells.at(-1)!)].join("\n");
}
