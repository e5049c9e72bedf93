/**
 * The little of SVG and HTML that the report's plots are made of.
 *
 * @module
 */

/** Markup that is safe to put into a page. */
export type Markup = string;

/** An element; attributes whose value is undefined are left out. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  ...children: Markup[]
): Markup {
  const list = Object.entries(attributes).filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === "number" ? round(value) : escape(value!)}"`)
    .join("");
  return `<${name}${list}>${children.join("")}</${name}>`;
}

/** Text as markup. */
export function escape(text: string): Markup {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}

/** A line of text in a plot. */
export function label(
  text: string,
  x: number,
  y: number,
  { anchor = "middle", style = "" }: { anchor?: "start" | "middle" | "end"; style?: string } = {},
): Markup {
  const attributes = { x, y, "text-anchor": anchor, class: style || undefined };
  return element("text", attributes, escape(text));
}

/** A straight line. */
export function line(x1: number, y1: number, x2: number, y2: number, style: string): Markup {
  return element("line", { x1, y1, x2, y2, class: style });
}

/** The style class of a series' colour. */
export function color(series: number): string {
  return `s${series % 6}`;
}

/** About how wide a text of 12 units' height is. */
export function textWidth(text: string): number {
  return 6.6 * text.length;
}

/** Two digits after the point are a hundredth of a unit: more than the eye sees. */
function round(value: number): string {
  return String(Math.round(value * 100) / 100);
}
