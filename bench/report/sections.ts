/**
 * The parts of the report: one for each device and shape that engines were timed on, one for each row cost
 * that drafters were scored at.
 *
 * @module
 */
import type { EndToEndResult } from "../result.ts";
import { barPlot, linePlot } from "./other_plots.ts";
import type { ResultFile, Simulation } from "./read.ts";
import { short } from "./scale.ts";
import { answerPlots } from "./answer_plots.ts";
import { figure, paragraph, section, table } from "./blocks.ts";
import { color, type Markup } from "./svg.ts";

/** Everything there is to show, a section for each group of results that can be compared. */
export function sections(files: readonly ResultFile[]): Markup {
  const engines = files.flatMap(({ result }) => result.kind === "end-to-end" ? [result] : [])
    .sort((a, b) => Number(b.engine === "Ditto") - Number(a.engine === "Ditto"));
  const simulations = files.flatMap(({ name, result }) =>
    result.kind === "end-to-end" ? [] : [{ name, result }]
  );
  const machines = Map.groupBy(
    engines,
    ({ device, shape, layers }) => `${shape}, ${layers} layers, on ${device}`,
  );
  const costs = Map.groupBy(simulations, ({ result }) => result.rowCost ?? null);
  return [
    ...[...machines].map(([title, results]) => engineSection(title, results)),
    ...[...costs].toSorted(([a], [b]) => (a ?? -1) - (b ?? -1)).map(([cost, of]) =>
      simulationSection(cost, of)
    ),
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
    ...results.flatMap(({ note }, i) => note ? [paragraph(`${names[i]}: ${note}`)] : []),
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

function simulationSection(
  rowCost: number | null,
  simulations: readonly { name: string; result: Simulation }[],
): Markup {
  const names = distinct(
    simulations.map(({ name, result: { drafter, numDraft } }) =>
      drafter ? `${drafter}, ${numDraft} drafts` : name
    ),
  );
  const results = simulations.map(({ result }) => result);
  const series = results.flatMap(({ answers }, i) =>
    answers
      ? [{
        name: names[i]!,
        answers: answers.map((a) => ({ ...a, plain: a.tokens, lookup: a.tokens / a.speed })),
      }]
      : []
  );
  const tasks = [...new Set(results.flatMap(({ tasks }) => Object.keys(tasks)))];
  return section(
    `Drafters on recorded answers${rowCost === null ? "" : `, row cost ${rowCost}`}`,
    `A simulation: computed from recorded answers, without weights and without a clock; a pass of r rows is ` +
      `taken to cost 1 + ${rowCost ?? "C"} · (r − 1) plain passes.`,
  )(
    figure(
      "Drafters by task",
      table(
        ["tokens a pass · rows a pass · speed", ...tasks],
        results.map((result, i) => [
          names[i]!,
          ...tasks.map((task) => {
            const found = result.tasks[task];
            if (!found) return null;
            const { tokensPerPass, rowsPerPass, speed } = found;
            return [tokensPerPass.total, rowsPerPass, speed.total].map(short).join(" · ");
          }),
        ]),
      ),
    ),
    ...answerPlots(series, "times plain, computed"),
  );
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

/** Names with a number behind those that come again. */
function distinct(names: readonly string[]): string[] {
  return names.map((name, i) => {
    const before = names.slice(0, i).filter((other) => other === name).length;
    return before === 0 ? name : `${name} (${before + 1})`;
  });
}
