/**
 * What all plots share: their size, the vertical axis, the legend.
 *
 * @module
 */
import type { Scale } from "./scale.ts";
import { element, escape, label, line, type Markup, textWidth } from "./svg.ts";

/** Width of every plot; the page scales it. */
export const WIDTH = 960;
/** Room around what is drawn: for the axis on the left, legend and axis name on top, group names below. */
export const [LEFT, RIGHT, TOP, BOTTOM] = [56, 12, 64, 34];

/** A name and the style that it has in the plot. */
export interface LegendEntry {
  readonly name: string;
  readonly style: string;
}

/** A plot's frame, with `parts` drawn over the lines of the axis. */
export function frame(
  { title, axis, legend, height, scale }: {
    /** Read out to those who cannot see the plot. */
    readonly title: string;
    /** What the vertical axis is. */
    readonly axis: string;
    readonly legend: readonly LegendEntry[];
    readonly height: number;
    readonly scale: Scale;
  },
  parts: readonly Markup[],
): Markup {
  return element(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": title },
    drawLegend(legend),
    label(axis, LEFT - 40, TOP - 16, { anchor: "start", style: "dim" }),
    ...scale.ticks.map((tick) => {
      const y = scale.place(tick);
      return line(LEFT, y, WIDTH - RIGHT, y, scale.isRatio && tick === 1 ? "one" : "grid") +
        label(String(Number(tick.toPrecision(6))), LEFT - 8, y + 4, {
          anchor: "end",
          style: "dim",
        });
    }),
    ...parts,
  );
}

/** The middle and the width of a group's place, and of its series' columns. */
export function columns(
  groups: number,
  series: number,
  most: number,
): {
  middle: (group: number) => number;
  band: number;
  x: (group: number, series: number) => number;
  width: number;
} {
  const band = (WIDTH - LEFT - RIGHT) / groups;
  const width = Math.min(band * 0.9 / series, most);
  const middle = (group: number) => LEFT + band * (group + 0.5);
  return {
    band,
    width,
    middle,
    x: (group, s) => middle(group) + width * (s - (series - 1) / 2),
  };
}

/** Coloured dots with the names of series, in a line. */
function drawLegend(entries: readonly LegendEntry[]): Markup {
  let at = LEFT - 40;
  return entries.map(({ name, style }) => {
    const entry = element("circle", { cx: at + 5, cy: 12, r: 5, class: `bar ${style}` }) +
      element("text", { x: at + 15, y: 16 }, escape(name));
    at += 35 + textWidth(name);
    return entry;
  }).join("");
}
