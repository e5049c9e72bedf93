/**
 * The page that --html writes: prompt and answer, each token in the colour of its pass, and for each pass
 * what it copied from where. One file, which needs no network.
 *
 * @module
 */
import type { GenerationResult, Piece } from "../../mod.ts";
import { countText, msText } from "../figures.ts";
import { tame } from "../terminal.ts";
import style from "./page.css" with { type: "text" };
import script from "./page.js" with { type: "text" };

/** What a page shows. */
export interface PageContent {
  /** The text of each token of prompt and answer. */
  readonly texts: readonly string[];
  /** The answer, in pieces. */
  readonly pieces: readonly Piece[];
  /** Whether drafts were looked up. */
  readonly isLookup: boolean;
  /** What the answer took. */
  readonly result: GenerationResult;
  /** The model's directory. */
  readonly model: string;
  /** The device's name. */
  readonly device: string;
}

/** A pass as the script in the page reads it. */
export interface PagePass {
  /** Its first token, an index into prompt and answer. */
  readonly first: number;
  /** Tokens it added. */
  readonly length: number;
  /** Drafts it checked. */
  readonly drafted: number;
  /** Where its drafts were copied from, an index into prompt and answer. */
  readonly source: number;
  /** Tokens before `source` that matched those before `first`; 0 where the tree guessed, or without drafts. */
  readonly ngram: number;
  /** Its first tokens that were drafts. */
  readonly copied: number;
}

/** Colours there are; see page.css. */
const COLORS = 6;

/** What each pass copied from where. */
export function pagePasses({ pieces, result }: PageContent): PagePass[] {
  let first = result.promptTokens;
  const passes = pieces.filter(({ tokens }) => tokens.length > 0); // others are text that was held back
  return passes.map(({ tokens: { length }, drafted, accepted, source, ngram }) => {
    const pass = { first, length, drafted, source, ngram, copied: accepted };
    first += length;
    return pass;
  });
}

/** The page's HTML. */
export function pageHtml(content: PageContent): string {
  const { texts, result, isLookup, model, device } = content;
  const passes = pagePasses(content);
  const title = `${countText(result.tokens.length, "token")} in ` +
    countText(result.passes, "pass", "passes");
  const prompt = texts.slice(0, result.promptTokens).map((text, i) => token(text, i, "", ""));
  const answer = passes.flatMap(({ first, length, copied }, pass) =>
    texts.slice(first, first + length).map((text, i) =>
      token(text, first + i, `c${pass % COLORS}${i < copied ? "" : " own"}`, ` data-pass="${pass}"`)
    )
  );
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Ditto: ${title}</title>
<style>
${style}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="source">${escape(model)} on ${escape(device)}</p>
</header>
<dl class="totals">
${totals(result)}
</dl>
<figure>
${chart(passes)}
<figcaption>Tokens that each pass of the model added, from the first pass to the last</figcaption>
</figure>
<main class="panes">
<section>
<h2>Prompt, ${countText(result.promptTokens, "token")}</h2>
<div id="prompt" class="text" tabindex="0">${prompt.join("")}</div>
</section>
<section>
<h2>Answer, ${countText(result.tokens.length, "token")}</h2>
<div id="answer" class="text">${answer.join("")}</div>
<p class="legend">${
    result.accepted > 0
      ? "A change of colour is a new pass. The underlined token of a pass is the model’s own; " +
        "the others were copied, and the pass confirmed them."
      : "A change of colour is a new pass, which made one token: nothing was copied" +
        (isLookup ? "." : ", since lookup was off.")
  }</p>
</section>
</main>
<aside id="detail" aria-live="polite" data-lookup="${isLookup}"><p>Point at a token of the answer to see ${
    isLookup ? "where its pass copied from" : "which pass made it"
  }; click to keep it, or go through the passes with the arrow keys.</p></aside>
<script type="application/json" id="passes">${JSON.stringify(passes)}</script>
<script type="module">
${script}</script>
</body>
</html>
`;
}

function token(text: string, index: number, color: string, attributes: string): string {
  const names = [color, text.includes("\n") && "newline", text === "" && "part"].filter(Boolean);
  const classes = names.length > 0 ? ` class="${names.join(" ")}"` : "";
  return `<span data-token="${index}"${attributes}${classes}>${escape(tame(text))}</span>`;
}

function totals(result: GenerationResult): string {
  const { drafted, accepted, timing, tokens, passes } = result;
  const saved = tokens.length === 0 ? 0 : Math.round(100 * (1 - passes / tokens.length));
  return [
    ["Tokens per pass", result.tokensPerPass.toFixed(2)],
    ["Passes saved", `${tokens.length - passes} (${saved}%)`],
    ["Drafts accepted", `${accepted} of ${drafted}`],
    ["Prompt", msText(timing.prefillMs)],
    ["Answer", msText(timing.decodeMs)],
    ["Tokens a second", result.tokensPerSecond.toFixed(1)],
  ].map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("\n");
}

/** A bar for each pass, as high as the tokens it added; the picture is stretched to the page's width. */
function chart(passes: readonly PagePass[]): string {
  const most = Math.max(1, ...passes.map(({ length }) => length));
  const bars = passes.map(({ length }, i) =>
    `<rect class="hit" data-pass="${i}" x="${i}" y="0" width="1" height="${most}"/>` +
    `<rect class="bar c${i % COLORS}" x="${i + 0.08}" y="${
      most - length
    }" width="0.84" height="${length}"/>`
  );
  return `<div class="chart" style="max-width: ${2 * passes.length}rem">
<svg viewBox="0 0 ${Math.max(1, passes.length)} ${most}" preserveAspectRatio="none" role="img" \
aria-label="Tokens of each pass, at most ${most}">${bars.join("")}</svg>
<div class="most">${most}</div>
</div>`;
}

function escape(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => names[character]!);
}
