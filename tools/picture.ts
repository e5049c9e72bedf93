/**
 * Draws the picture in README: an answer of the model in the box without lookup, and beside it the same with it.
 *
 *     deno run -A tools/picture.ts > demo/rename.svg
 *
 * A pass is a tick of the clock on both sides. Drafts are taken to cost nothing, so that the picture does not depend on
 * the device that drew it.
 *
 * @module
 */
import { MODEL_IN_THE_BOX } from "../cli/choose_model.ts";
import { EXAMPLES } from "../demo/examples.ts";
import { type GenerateOptions, type LanguageModel, loadModel } from "../mod.ts";

/** A pass takes so many seconds; then the whole answers stay for some more. */
const TICK_SECONDS = 0.1;
const REST_SECONDS = 5;
const LINE = 20;
const CHARACTER = 7.8;
const LEFT = 22;
const TOP = 66;
const COLORS = 6; // as many as STYLE has

const STYLE = `
text { font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.title, .total { font: 600 15px system-ui, sans-serif; fill: #1d2126 }
.total { font: 13px system-ui, sans-serif }
.paper { fill: #fff; stroke: #dfe1e4 }
.c0 { fill: #1a5fb4 } .c1 { fill: #b3540a } .c2 { fill: #25772f }
.c3 { fill: #8a2f96 } .c4 { fill: #7a6200 } .c5 { fill: #0b6e68 }
@media (prefers-color-scheme: dark) {
  .title, .total { fill: #e6e8ea }
  .paper { fill: #1b1f24; stroke: #30363d }
  .c0 { fill: #6cb2ff } .c1 { fill: #f7a85c } .c2 { fill: #74d07e }
  .c3 { fill: #d98ae8 } .c4 { fill: #e3c53c } .c5 { fill: #4fd0c8 }
}
@media (prefers-reduced-motion: reduce) { g { animation: none !important } }
`;

/** An answer as it is drawn. */
interface Side {
  readonly title: string;
  /** The text of each pass. */
  readonly passes: readonly string[];
  readonly tokens: number;
}

async function answer(
  model: LanguageModel,
  title: string,
  options: GenerateOptions,
): Promise<Side> {
  const generation = model.generate(EXAMPLES[0]!.chat, options);
  const passes = (await Array.fromAsync(generation)).map(({ text }) => text);
  const { tokens } = await generation.result();
  return { title, passes, tokens: tokens.length };
}

/** What is seen from a tick on, until the clock starts again. */
function from(tick: number, content: string): string {
  return `<g style="animation-name:t${tick}">${content}</g>\n`;
}

/** The texts of an answer's passes, each where the one before it ends. */
function drawPasses({ passes }: Side, left: number): string {
  let column = 0;
  let line = 0;
  return passes.map((text, pass) => {
    const words = text.split("\n").map((part, i) => {
      if (i > 0) [column, line] = [0, line + 1];
      const word = part.trim();
      const x = left + CHARACTER * (column + part.length - part.trimStart().length);
      column += part.length;
      // Fonts differ in the width of a character.
      return word &&
        `<text class="c${pass % COLORS}" x="${x.toFixed(1)}" y="${TOP + LINE * line}" ` +
          `textLength="${(CHARACTER * word.length).toFixed(1)}">${escape(word)}</text>`;
    });
    return from(pass + 1, words.join(""));
  }).join("");
}

/** The answers side by side, as SVG. */
function draw(sides: readonly Side[]): string {
  const ticks = Math.max(...sides.map(({ passes }) => passes.length));
  const lines = sides[0]!.passes.join("").trimEnd().split("\n");
  const seconds = TICK_SECONDS * ticks + REST_SECONDS;
  const times = Array.from({ length: ticks }, (_, i) => {
    const percent = (100 * TICK_SECONDS * (i + 1) / seconds).toFixed(2);
    return `@keyframes t${i + 1} { 0% { opacity: 0 } ${percent}%, 100% { opacity: 1 } }`;
  });
  const bottom = TOP + LINE * lines.length;
  const side = Math.ceil(LEFT + CHARACTER * Math.max(...lines.map(({ length }) => length)));
  const [width, height] = [side * sides.length + LEFT, bottom + 32];
  const panes = sides.map((answer, i) => {
    const left = LEFT + side * i;
    const { title, passes: { length }, tokens } = answer;
    const total = `<text class="total" x="${left}" y="${
      bottom + 8
    }">${tokens} tokens, ${length} passes</text>`;
    return `<text class="title" x="${left}" y="34">${title}</text>\n` +
      drawPasses(answer, left) + from(length, total);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>${STYLE}g { animation: ${seconds}s step-end infinite }
${times.join("\n")}
</style>
<rect class="paper" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
${panes.join("")}</svg>`;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** The picture. */
export async function picture(): Promise<string> {
  using model = await loadModel(MODEL_IN_THE_BOX, { rowCosts: new Array(32).fill(1) });
  return draw([
    await answer(model, "Without lookup", { promptLookupNumTokens: 0 }),
    await answer(model, "With lookup", {}),
  ]);
}

if (import.meta.main) console.log(await picture());
