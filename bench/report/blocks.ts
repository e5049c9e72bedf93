/**
 * The blocks that the report's page is made of.
 *
 * @module
 */
import { element, escape, type Markup } from "./svg.ts";

/** A part of the page, with notes on what its figures are. */
export function section(title: string, ...notes: string[]): (...parts: Markup[]) => Markup {
  return (...parts) =>
    element(
      "section",
      {},
      element("h2", {}, escape(title)),
      paragraph(notes.join("").trim()),
      ...parts,
    );
}

/** A paragraph of text. */
export function paragraph(text: string): Markup {
  return element("p", {}, escape(text));
}

/** A plot or a table with its name. */
export function figure(title: string, ...parts: Markup[]): Markup {
  return element("figure", {}, element("h3", {}, escape(title)), ...parts);
}

/** A table; null is an empty cell. The first column is a name, the others are figures. */
export function table(
  head: readonly string[],
  rows: readonly (readonly (string | null)[])[],
): Markup {
  const row = (name: string, cells: readonly (string | null)[]) =>
    element("tr", {}, ...cells.map((cell) => element(name, {}, escape(cell ?? "–"))));
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, row("th", head), ...rows.map((cells) => row("td", cells))),
  );
}
