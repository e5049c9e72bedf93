/**
 * The parts of the report: one for each device and shape that engines were timed on, one for each row cost
 * that drafters were scored at.
 *
 * @module
 */
import { type EndToEndResult, mean } from "../result.ts";
import { barPlot, linePlot } from "./other_plots.ts";
import type { ResultFile, Simulation } from "./read.ts";
import { short } from "./scale.ts";
import { stripPlot } from "./strip_plot.ts";
import { figure, section, table } from "./blocks.ts";
import { color, type Markup } from "./svg.ts";

/** One answer with lookup, whatever it was measured or computed by. */
interface Answer {
  readonly task: string;
  readonly category: string | null;
  readonly tokens: number;
  readonly passes: number | null;
  /** What it costs without lookup, and with it, in the same unit. */
  readonly plain: number;
  readonly lookup: number;
}

/** Answers that are drawn in one colour. */
interface Series {
  readonly name: string;
  readonly answers: readonly Answer[];
}

/** Everything there is to show, a section for each group of results that can be compared. */
export function sections(files: readonly ResultFile[]): Markup {
  const engines = files.flatMap(({ result }) => result.kind === "end-to-end" ? [result] : [])
    .sort((a, b) => Number(b.engine === "Ditto") - Number(a.engine === "Ditto"));
  const simulations = files.flatMap(({ result }) => result.kind === "simulation" ? [result] : []);
  const machines = Map.groupBy(
    engines,
    ({ device, shape, layers }) => `${shape}, ${layers} layers, on ${device}`,
  );
  const costs = Map.groupBy(simulations, ({ rowCost }) => rowCost);
  return [
    ...[...machines].map(([title, results]) => engineSection(title, results)),
    ...[...costs].toSorted(([a], [b]) => a - b).map(([cost, of]) => simulationSection(cost, of)),
  ].join("");
}

function engineSection(title: string, results: readonly EndToEndResult[]): Markup {
  const names = distinct(results.map(({ engine, dtype }) => `${engine} ${dtype}`));
  const series = results.flatMap((result, i) =>
    result.replays.map(({ drafter, answers }) => ({
      name: `${names[i]}, ${drafter}`,
      answers: answers.map((a) => ({ ...a, plain: a.plainMs, lookup: a.lookupMs })),
    }))
  );
  const first = results[0]!;
  return section(
    title,
    "Weights are made up. ",
    first.isSoftware
      ? "The CPU plays the device, or is it: these figures say nothing of a GPU. "
      : "",
    first.isWhole ? "" : "Only some layers ran: no figure is the whole model's. ",
    series.length > 0
      ? "With lookup, recorded answers were replayed: the real model's tokens took the place of the choice, " +
        "so drafts were accepted as they really are."
      : "No answers were replayed.",
  )(
    table(
      ["", "version", "runtime", "driver", "date"],
      results.map((r, i) => [names[i]!, r.version, r.runtime, r.driver, r.date.slice(0, 10)]),
    ),
    replayedSpeed(results, names),
    ...answerPlots(series, "times plain"),
    plainTable(results, names),
    rowCosts(results, names),
  );
}

function simulationSection(rowCost: number, results: readonly Simulation[]): Markup {
  const names = distinct(results.map(({ drafter, numDraft }) => `${drafter}, ${numDraft} drafts`));
  const series = results.map(({ answers }, i) => ({
    name: names[i]!,
    answers: answers.map((a) => ({ ...a, plain: a.tokens, lookup: a.tokens / a.speed })),
  }));
  return section(
    `Drafters on recorded answers, row cost ${rowCost}`,
    `Computed from recorded answers, without weights and without a clock: a pass of r rows is taken to cost ` +
      `1 + ${rowCost} · (r − 1) plain passes.`,
  )(...answerPlots(series, "times plain, computed"));
}

/** Speed, tokens per pass, and both turns of MT-bench by category. */
function answerPlots(series: readonly Series[], axis: string): Markup[] {
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

/** Engines side by side: tokens a second of replayed answers, plain and with lookup. */
function replayedSpeed(results: readonly EndToEndResult[], names: readonly string[]): Markup {
  let drawn = 0; // so that a drafter has the colour that it has in the other plots
  const bars = results.flatMap((result, i) =>
    result.replays.flatMap(({ drafter, tasks }, n) => {
      const style = color(drawn++);
      return [
        ...(n > 0 ? [] : [{
          name: `${names[i]}, plain`,
          style: `${style} pale`,
          value: (task: string) => tasks[task]?.plainTokensPerSecond ?? null,
        }]),
        {
          name: `${names[i]}, ${drafter}`,
          style,
          value: (task: string) => tasks[task]?.tokensPerSecond ?? null,
        },
      ];
    })
  );
  if (bars.length === 0) return "";
  const tasks = results.flatMap(({ replays }) =>
    replays.flatMap(({ tasks }) => Object.keys(tasks))
  );
  const title = "Tokens a second, side by side (replay)";
  const groups = [...new Set(tasks)];
  return figure(title, barPlot({ title, axis: "tokens a second", groups, bars }));
}

function plainTable(results: readonly EndToEndResult[], names: readonly string[]): Markup {
  const share = (fraction: number | null) =>
    fraction === null ? null : `${Math.round(fraction * 100)}%`;
  return figure(
    "Without lookup",
    table(
      ["", "work", "tokens a second", "of the device's own rate", "CPU ms a step"],
      results.flatMap((result, i) => [
        ...result.prefill.map((p) => [
          names[i]!,
          `prompt of ${p.tokens}`,
          short(p.tokensPerSecond),
          share(p.fractionOfMultiplyAdds),
          null,
        ]),
        ...result.plain.map((p) => [
          names[i]!,
          `decoding after ${p.context}`,
          short(p.tokensPerSecond),
          share(p.fractionOfCopy),
          p.cpuMsPerStep === null ? null : p.cpuMsPerStep.toFixed(2),
        ]),
      ]),
    ),
  );
}

function rowCosts(results: readonly EndToEndResult[], names: readonly string[]): Markup {
  const series = results.flatMap(({ rowCosts }, i) =>
    rowCosts
      ? [{
        name: names[i]!,
        points: Object.entries(rowCosts).map(([rows, cost]) => [Number(rows), cost] as const),
      }]
      : []
  );
  if (series.length === 0) return "";
  const title = "Cost of a pass by its rows";
  return figure(title, linePlot({ title, axis: "of one row's", across: "rows", series }));
}

/** Values that answers have, in the order in which they come. */
function keys(series: readonly Series[], of: (answer: Answer) => string | null): string[] {
  const all = series.flatMap(({ answers }) => answers.map(of));
  return [...new Set(all.filter((key) => key !== null))];
}

/** Names with a number behind those that come again. */
function distinct(names: readonly string[]): string[] {
  return names.map((name, i) => {
    const before = names.slice(0, i).filter((other) => other === name).length;
    return before === 0 ? name : `${name} (${before + 1})`;
  });
}
