/**
 * Plots of single answers, by task and by category.
 *
 * @module
 */
import { mean } from "../result.ts";
import { figure, table } from "./blocks.ts";
import { short } from "./scale.ts";
import { stripPlot } from "./strip_plot.ts";
import type { Markup } from "./svg.ts";

/** One answer with lookup, whatever it was measured or computed by. */
export interface Answer {
  readonly task: string;
  readonly category: string | null;
  readonly tokens: number;
  readonly passes: number | null;
  /** What it costs without lookup, and with it, in the same unit. */
  readonly plain: number;
  readonly lookup: number;
}

/** Answers that are drawn in one colour. */
export interface Series {
  readonly name: string;
  readonly answers: readonly Answer[];
}

/** Speed, tokens per pass, and both turns of MT-bench by category. */
export function answerPlots(series: readonly Series[], axis: string): Markup[] {
  if (series.length === 0) return [];
  const names = series.map(({ name }) => name);
  const tasks = keys(series, ({ task }) => task);
  const of = (name: string) => series.find((one) => one.name === name)!.answers;
  const strips = (
    title: string,
    axis: string,
    ratio: (answer: Answer) => Ratio | null,
    groups: readonly string[],
    isIn: (answer: Answer, group: string) => boolean,
  ) => {
    const ratios = (name: string, group: string) =>
      of(name).filter((answer) => isIn(answer, group)).flatMap((answer) => {
        const found = ratio(answer);
        return found ? [{ answer, ...found, value: found.all / found.per }] : [];
      });
    const isWide = groups.length > 5;
    const rows = names.map((name) => [
      name,
      ...groups.map((group) => {
        const found = ratios(name, group);
        if (found.length === 0) return null;
        const [all, per] = [sum(found.map(({ all }) => all)), sum(found.map(({ per }) => per))];
        const values = found.map(({ value }) => value);
        const figures = [mean(values), Math.min(...values)];
        return (isWide ? figures : [all / per, ...figures]).map(short).join(" · ");
      }),
    ]);
    const dots = (group: string, name: string) =>
      ratios(name, group).map(({ answer, value }) => ({ value, title: describe(answer, value) }));
    return figure(
      title,
      stripPlot({ title, axis, groups, series: names, dots }),
      table([`${isWide ? "" : "all together · "}mean · least`, ...groups], rows),
    );
  };
  const speed = ({ plain, lookup }: Answer) => ({ all: plain, per: lookup });
  const perPass = ({ tokens, passes }: Answer) => passes ? { all: tokens, per: passes } : null;
  const isTask = (answer: Answer, task: string) => answer.task === task;
  const turns = tasks.filter((task) =>
    series.some(({ answers }) => answers.some((a) => a.task === task && a.category))
  );
  return [
    strips("Speed-up by task", axis, speed, tasks, isTask),
    strips("Tokens per pass", "tokens a pass", perPass, tasks, isTask),
    ...turns.map((turn) =>
      strips(
        `Speed-up by category: ${turn}`,
        axis,
        speed,
        keys(series, (answer) => answer.task === turn ? answer.category : null),
        (answer, category) => answer.task === turn && answer.category === category,
      )
    ),
  ];
}

/** A quotient, kept apart so that those of several answers can be put together. */
interface Ratio {
  readonly all: number;
  readonly per: number;
}

function describe({ task, category, tokens }: Answer, value: number): string {
  return `${task}${category ? ` (${category})` : ""}, ${tokens} tokens: ${short(value)}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Values that answers have, in the order in which they come. */
function keys(series: readonly Series[], of: (answer: Answer) => string | null): string[] {
  const all = series.flatMap(({ answers }) => answers.map(of));
  return [...new Set(all.filter((key) => key !== null))];
}
