/**
 * Single answers as dots, with the box of their quartiles, side by side for tasks and series: what one mean
 * would hide.
 *
 * @module
 */
import { mean } from "../result.ts";
import { quantile, ratioScale, type Scale, short } from "./scale.ts";
import { BOTTOM, columns, frame, TOP } from "./frame.ts";
import { color, element, escape, label, line, type Markup, textWidth } from "./svg.ts";

/** A dot. */
export interface Dot {
  /** A ratio, above 0. */
  readonly value: number;
  /** What is shown when the mouse rests on it. */
  readonly title: string;
}

/** What to draw. */
export interface StripPlot {
  readonly title: string;
  /** What the vertical axis is. */
  readonly axis: string;
  /** Names of the groups, from left to right. */
  readonly groups: readonly string[];
  readonly series: readonly string[];
  /** The dots of a group's series; may be none. */
  readonly dots: (group: string, series: string) => readonly Dot[];
}

const HEIGHT = 380;
const RADIUS = 2.6;

/** Draws the plot; the axis doubles from tick to tick, with a line at 1. */
export function stripPlot({ title, axis, groups, series, dots }: StripPlot): Markup {
  const all = groups.flatMap((group) => series.flatMap((name) => dots(group, name)));
  const values = all.map(({ value }) => value);
  const range = [Math.min(1, ...values), Math.max(...values)] as const;
  const scale = ratioScale(...range, HEIGHT - BOTTOM, TOP + 16);
  const { band, middle, x, width } = columns(groups.length, series.length, 130);
  return frame(
    {
      title,
      axis,
      legend: series.map((name, s) => ({ name, style: color(s) })),
      height: HEIGHT,
      scale,
    },
    groups.flatMap((group, g) => [
      label(cut(group, band), middle(g), HEIGHT - 12),
      ...series.map((name, s) => strip(dots(group, name), x(g, s), width * 0.86, scale, color(s))),
    ]),
  );
}

/** One column: box, dots, and the mean above them. */
function strip(
  dots: readonly Dot[],
  x: number,
  width: number,
  { place }: Scale,
  style: string,
): Markup {
  if (dots.length === 0) return "";
  const sorted = dots.toSorted((a, b) => a.value - b.value);
  const values = sorted.map(({ value }) => value);
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => place(quantile(values, share)));
  const box = { x: x - width / 2, y: high!, width, height: low! - high!, rx: 2 };
  const top = place(values.at(-1)!) - 10;
  return element(
    "g",
    {},
    element("rect", { ...box, class: `box ${style}` }),
    line(x - width / 2, middle!, x + width / 2, middle!, `median ${style}`),
    ...swarm(sorted.map(({ value }) => place(value)), width).map((offset, i) =>
      element(
        "circle",
        { cx: x + offset, cy: place(sorted[i]!.value), r: RADIUS, class: `dot ${style}` },
        element("title", {}, escape(sorted[i]!.title)),
      )
    ),
    label(`${width > 60 ? "mean " : ""}${short(mean(values))}`, x, top, { style: "mean" }),
  );
}

/** Moves dots sideways until none covers another, as far as the column allows. */
function swarm(heights: readonly number[], width: number): number[] {
  const placed: { x: number; y: number }[] = [];
  const step = 2 * RADIUS + 0.4;
  const most = Math.max(0, Math.floor(width / 2 / step - 0.5));
  for (const y of heights) {
    const isFree = (x: number) =>
      placed.every((other) => (other.x - x) ** 2 + (other.y - y) ** 2 >= step * step * 0.95);
    const offsets = Array.from(
      { length: 2 * most + 1 },
      (_, i) => (i % 2 ? 1 : -1) * Math.ceil(i / 2) * step,
    );
    placed.push({ x: offsets.find(isFree) ?? 0, y });
  }
  return placed.map(({ x }) => x);
}

/** A name as long as its place allows. */
function cut(name: string, width: number): string {
  const most = Math.floor(width / textWidth("n"));
  return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
}
