/**
 * Bars and lines.
 *
 * @module
 */
import { linearScale, short } from "./scale.ts";
import { BOTTOM, columns, frame, LEFT, RIGHT, TOP, WIDTH } from "./frame.ts";
import { color, element, label, type Markup } from "./svg.ts";

/** Draws bars from 0, side by side in each group; null where nothing was measured. */
export function barPlot(
  { title, axis, groups, bars }: {
    readonly title: string;
    readonly axis: string;
    readonly groups: readonly string[];
    readonly bars: readonly {
      readonly name: string;
      /** Classes of the page's style sheet. */
      readonly style: string;
      readonly value: (group: string) => number | null;
    }[];
  },
): Markup {
  const height = 320;
  const bottom = height - BOTTOM;
  const most = Math.max(...groups.flatMap((group) => bars.map(({ value }) => value(group) ?? 0)));
  const scale = linearScale(most, bottom, TOP);
  const { middle, x, width } = columns(groups.length, bars.length, 64);
  return frame(
    { title, axis, legend: bars, height, scale },
    groups.flatMap((group, g) => [
      label(group, middle(g), height - 12),
      ...bars.map(({ style, value }, i) => {
        const found = value(group);
        if (found === null) return "";
        const [left, y] = [x(g, i) - width * 0.44, scale.place(found)];
        const bar = { x: left, y, width: width * 0.88, height: bottom - y, rx: 2 };
        return element("rect", { ...bar, class: `bar ${style}` }) +
          label(short(found), x(g, i), y - 5, { style: "mean" });
      }),
    ]),
  );
}

/** Draws lines through points, x from 0. */
export function linePlot(
  { title, axis, across, series }: {
    readonly title: string;
    readonly axis: string;
    /** What the horizontal axis is. */
    readonly across: string;
    readonly series: readonly {
      readonly name: string;
      readonly points: readonly (readonly [x: number, y: number])[];
    }[];
  },
): Markup {
  const height = 300;
  const bottom = height - BOTTOM - 8;
  const points = series.flatMap((one) => one.points);
  const scale = linearScale(Math.max(...points.map(([, y]) => y)), bottom, TOP);
  const end = Math.max(...points.map(([x]) => x));
  const place = (x: number) => LEFT + (WIDTH - LEFT - RIGHT - 20) * x / end;
  const marks = [...new Set(points.map(([x]) => x))];
  return frame(
    {
      title,
      axis,
      legend: series.map(({ name }, s) => ({ name, style: color(s) })),
      height,
      scale,
    },
    [
      label(across, WIDTH - RIGHT, height - 4, { anchor: "end", style: "dim" }),
      ...marks.map((x) => label(String(x), place(x), bottom + 18, { style: "dim" })),
      ...series.map(({ points }, s) => {
        const path = points.map(([x, y]) => `${place(x).toFixed(1)},${scale.place(y).toFixed(1)}`);
        const dots = points.map(([x, y]) =>
          element(
            "circle",
            { cx: place(x), cy: scale.place(y), r: 4, class: `dot ${color(s)}` },
            element("title", {}, `${x}: ${short(y)}`),
          )
        );
        return element("polyline", { points: path.join(" "), class: `line ${color(s)}` }) +
          dots.join("");
      }),
    ],
  );
}
