/**
 * The page around the report: one file, no script, nothing from the network, light or dark as the reader's
 * system is.
 *
 * @module
 */
import { escape, type Markup } from "./svg.ts";

const STYLE = /* css */ `
:root {
  color-scheme: light dark;
  --page: light-dark(#fbfbfa, #16181b);
  --card: light-dark(#ffffff, #1d2024);
  --edge: light-dark(#e3e3df, #2e3238);
  --text: light-dark(#1d1f22, #e6e6e3);
  --dim: light-dark(#6a6d72, #9a9ea5);
  --grid: light-dark(#ececea, #2a2e33);
  --c0: light-dark(#2563c9, #6fa3f7);
  --c1: light-dark(#d0661b, #f29c57);
  --c2: light-dark(#178a5b, #4fc695);
  --c3: light-dark(#8f4bb5, #c490e6);
  --c4: light-dark(#b93a4b, #f0838f);
  --c5: light-dark(#6b7280, #a3aab5);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 80px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 48px 0 4px; }
h3 { font-size: 15px; margin: 0 0 12px; }
p { color: var(--dim); max-width: 75ch; margin: 0 0 16px; }
figure { background: var(--card); border: 1px solid var(--edge); border-radius: 8px; padding: 16px 18px; margin: 16px 0; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--text); }
svg text.dim { fill: var(--dim); }
svg text.mean { font-weight: 600; font-size: 11px; paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.grid { stroke: var(--grid); }
.one { stroke: var(--dim); stroke-dasharray: 4 3; }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); }
.s3 { --c: var(--c3); } .s4 { --c: var(--c4); } .s5 { --c: var(--c5); }
circle, .bar { fill: var(--c); }
circle.pale, .bar.pale { fill-opacity: 0.45; }
.dot { fill-opacity: 0.75; }
.box { fill: var(--c); fill-opacity: 0.14; }
.median { stroke: var(--c); stroke-width: 2; }
.line { fill: none; stroke: var(--c); stroke-width: 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; margin-top: 10px; }
th, td { text-align: right; padding: 4px 10px; border-top: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--dim); font-weight: 500; border-top: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
`;

/** A whole HTML file. */
export function page(title: string, intro: string, body: Markup): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<p>${escape(intro)}</p>
${body}
</main>
</body>
</html>
`;
}
