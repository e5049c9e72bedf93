import { assertEquals } from "@std/assert";
import { accept, type Stop } from "../../decode/accept.ts";
import { chain } from "../../decode/rows.ts";
import { random } from "./buffers.ts";

interface Node {
  token: number;
  parent: number;
}

/** The rule stated by paths: among all root-to-row paths that the model chose, the longest. */
function naive(rows: Node[], chosen: (number | null)[], eos: number[], limit: number) {
  let best = [0];
  rows.forEach((_, row) => {
    const path = [row];
    while (path[0] !== 0) path.unshift(rows[path[0]!]!.parent);
    const agreed = path.every((r, i) => i === 0 || rows[r]!.token === chosen[path[i - 1]!]);
    // No sibling with the same token has a lower index: duplicates never continue.
    const first = path.every((r, i) =>
      i === 0 ||
      !rows.some((o, j) =>
        0 < j && j < r && o.parent === rows[r]!.parent && o.token === rows[r]!.token
      )
    );
    if (agreed && first && path.length > best.length) best = path;
  });
  const tokens = best.map((row) => chosen[row]!).filter((token) => token !== null);
  const end = tokens.findIndex((token) => eos.includes(token)) + 1 || Infinity;
  const kept = Math.min(tokens.length, end, limit);
  const ended = kept === end ? "eos" : kept === limit ? "length" : null;
  const stop: Stop = ended ?? (tokens.length < best.length ? "nan" : null);
  const path = best.slice(0, kept);
  return { tokens: tokens.slice(0, kept), path, drafts: best.slice(1, kept + 1), stop };
}

Deno.test("accept equals the naive statement of the rule on random trees", () => {
  const next = random(7);
  let long = 0;
  for (let i = 0; i < 5000; i++) {
    const vocabulary = 1 + next(4);
    const rows: Node[] = [{ token: next(vocabulary), parent: 0 }];
    const count = next(32);
    while (rows.length <= count) {
      rows.push({ token: next(vocabulary), parent: Math.max(0, rows.length - 1 - next(3)) });
    }
    const chosen = rows.map(() => i % 4 === 0 && next(9) === 0 ? null : next(vocabulary));
    const eos = i % 3 === 0 ? [next(4)] : i % 3 === 1 ? [1, 3] : [];
    const limit = i % 2 === 0 ? 1 + next(5) : Infinity;
    const accepted = accept(rows, chosen, { eos, limit });
    assertEquals(accepted, naive(rows, chosen, eos, limit));
    if (accepted.tokens.length > 3) long++;
  }
  assertEquals(long > 200, true, `only ${long} long walks: the trees test too little`);
});

Deno.test("accept of a plain step is the chosen token", () => {
  assertEquals(accept(chain(5, []), [8]), { tokens: [8], path: [0], drafts: [], stop: null });
});

Deno.test("accept takes drafts while they agree, and one token more", () => {
  const rows = chain(5, [6, 7, 8]);
  assertEquals(accept(rows, [6, 7, 9, 1]).tokens, [6, 7, 9]);
  assertEquals(accept(rows, [6, 7, 8, 1]).tokens, [6, 7, 8, 1]);
  assertEquals(accept(rows, [1, 7, 8, 1]).tokens, [1]);
});

Deno.test("accept stops at an end-of-sequence token, drafted or not", () => {
  const rows = chain(5, [6, 2, 8]);
  assertEquals(accept(rows, [6, 2, 8, 1], { eos: [2] }), {
    tokens: [6, 2],
    path: [0, 1],
    drafts: [1, 2],
    stop: "eos",
  });
  assertEquals(accept(rows, [2, 2, 8, 1], { eos: [1, 2] }), {
    tokens: [2],
    path: [0],
    drafts: [],
    stop: "eos",
  });
});

Deno.test("accept stops before a token that cannot be chosen", () => {
  const rows = chain(5, [6, 7, 8]);
  assertEquals(accept(rows, [6, 7, null, 1]), {
    tokens: [6, 7],
    path: [0, 1],
    drafts: [1, 2],
    stop: "nan",
  });
  assertEquals(accept(rows, [null, 7, 8, 1]), { tokens: [], path: [], drafts: [], stop: "nan" });
  assertEquals(accept(rows, [6, 7, null, 1], { limit: 2 }).stop, "length");
});

Deno.test("accept stops at the length limit, and end of sequence goes before it", () => {
  const rows = chain(5, [6, 2, 8]);
  assertEquals(accept(rows, [6, 2, 8, 1], { limit: 2 }), {
    tokens: [6, 2],
    path: [0, 1],
    drafts: [1, 2],
    stop: "length",
  });
  assertEquals(accept(rows, [6, 2, 8, 1], { limit: 2, eos: [2] }).stop, "eos");
  assertEquals(accept(rows, [6, 2, 8, 1], { limit: 0 }), {
    tokens: [],
    path: [],
    drafts: [],
    stop: "length",
  });
});

Deno.test("accept prefers the lowest of several rows with the chosen token", () => {
  const rows = [
    { token: 5, parent: 0 },
    { token: 6, parent: 0 },
    { token: 6, parent: 0 },
    { token: 7, parent: 2 },
  ];
  assertEquals(accept(rows, [6, 7, 7, 7]).path, [0, 1]);
});
