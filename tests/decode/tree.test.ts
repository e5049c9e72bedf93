/** The tree drafter, against its rules stated more literally, and its properties on texts that break drafters. */
import { assert, assertEquals } from "@std/assert";
import { accept } from "../../decode/accept.ts";
import {
  CANDIDATES,
  type DrafterState,
  draftTree,
  INITIAL_STATE,
  kindOf,
  learn,
  leastReach,
  logistic,
  MAX_AGREEMENT,
  MAX_BIAS,
  MAX_RESUMED,
  NEAR_AFTER,
  type TreeDraft,
  type TreeOptions,
} from "../../decode/tree.ts";
import {
  AGREEMENT_BOUNDS,
  DISTANCE_BOUNDS,
  RESUMED_BOUNDS,
  SHARE_BOUNDS,
  TREE_PARAMETERS,
  VOTES_BOUNDS,
} from "../../decode/tree_parameters.ts";
import { type Random, seeded } from "../random.ts";
import { buffers } from "./buffers.ts";

const P = TREE_PARAMETERS;
const big = BigInt;

/** The entry of `table` for the last bound that `value` reaches. */
function entry(table: readonly number[], bounds: readonly number[], value: number): number {
  return table[bounds.findLastIndex((bound) => value >= bound) + 1]!;
}

/** What tokens are compared by. */
function wordsOf(tokens: readonly number[], { words }: TreeOptions): number[] {
  return tokens.map((token) => words ? words[token]! : token);
}

/**
 * The drafts and how likely they are, stated by prefixes: a draft is a list of tokens that some candidates go on
 * with. In integers of any size, so that an overflow of the specification shows.
 */
function naive(tokens: readonly number[], state: DrafterState, options: TreeOptions) {
  const { numDraft = 31, limit = Infinity, rowCosts = new Array(32).fill(1024) } = options;
  const { source, bias } = learn(state, tokens);
  const { length } = tokens;
  const text = wordsOf(tokens, options);
  const agreeing = (place: number, skip: number, most: number) => {
    const earlier = text.slice(0, place).reverse().slice(skip, skip + most);
    const last = text.toReversed().slice(skip);
    const end = earlier.findIndex((word, i) => word !== last[i]);
    return end < 0 ? earlier.length : end;
  };
  const candidates = tokens.map((_, place) => {
    const agreement = agreeing(place, 0, MAX_AGREEMENT);
    const resumed = entry(
      [0, 1, 2, 3],
      RESUMED_BOUNDS,
      agreeing(place, agreement + 1, MAX_RESUMED),
    );
    const isNear = source > 0 && place >= source && place - source <= NEAR_AFTER;
    return { place, agreement, resumed, isNear };
  }).slice(1).sort((a, b) =>
    b.agreement - a.agreement || b.resumed - a.resumed ||
    Number(b.isNear) - Number(a.isNear) || b.place - a.place
  ).slice(0, CANDIDATES);

  interface Prefix {
    tokens: number[];
    reach: bigint;
    best: number;
    probability: bigint;
  }
  /** Every list of next tokens, with its probability. */
  const all = new Map<string, Prefix>();
  const extend = (prefix: number[], reach: bigint) => {
    const depth = prefix.length;
    // Of what it accepts a pass makes one token more.
    if (depth >= numDraft || length + depth + 1 >= limit) return;
    const agreeing = candidates.filter(({ place }) =>
      place + depth < length && prefix.every((token, i) => tokens[place + i] === token)
    );
    const weight = (some: typeof candidates) =>
      some.map(({ agreement }) => big(P.weights[Math.min(agreement, P.weights.length - 1)]!))
        .reduce((a, b) => a + b, 0n);
    for (const token of new Set(agreeing.map(({ place }) => tokens[place + depth]!))) {
      const voters = agreeing.filter(({ place }) => tokens[place + depth] === token);
      const best = voters[0]!;
      const agreement = best.agreement + depth;
      const share = Number(weight(voters) * 1024n / weight(agreeing));
      const some = agreement > 0 ? 1 : 0;
      const kind = agreement === 0 ? 0 : share < 512 ? 1 : 2;
      const logit = entry(P.agreement, AGREEMENT_BOUNDS, agreement) +
        P.resumed[best.resumed]![Math.min(agreement, 3)]! +
        (best.isNear ? P.near[Math.min(agreement, 3)]! : 0) +
        entry(P.share[some]!, SHARE_BOUNDS, share) +
        entry(P.votes[some]!, VOTES_BOUNDS, voters.length) +
        entry(P.distance[some]!, DISTANCE_BOUNDS, length - best.place) +
        Math.floor(bias[kind]! / 256);
      const probability = big(logistic(logit));
      const tokens_ = [...prefix, token];
      const next = {
        tokens: tokens_,
        reach: reach * probability / 65536n,
        best: candidates.indexOf(best),
        probability,
      };
      all.set(JSON.stringify(tokens_), next);
      extend(tokens_, next.reach);
    }
  };
  extend([], 65535n);
  // Likeliest first: a draft is never likelier than its parent, and deeper, so parents come first.
  const order = [...all.values()].sort((a, b) =>
    Number(b.reach - a.reach) || a.tokens.length - b.tokens.length || a.best - b.best
  ).slice(0, numDraft).filter(({ reach }) => Number(reach) >= leastReach(options.rowCosts, P));
  const worth = (count: number) => {
    const sum = order.slice(0, count).reduce((total, { reach }) => total + reach, 0n);
    return {
      tokens: big(P.aroundTokens + 1024) + sum / 64n,
      cost: big(P.aroundCost + rowCosts[count]!),
    };
  };
  let count = 0;
  for (let other = 1; other <= order.length; other++) {
    const [a, b] = [worth(count), worth(other)];
    if (b.tokens * a.cost >= a.tokens * b.cost) count = other;
  }
  return { drafts: order.slice(0, count).map((prefix) => prefix.tokens), order };
}

/** The path of tokens from row 0, itself left out, to each draft. */
function paths({ rows }: TreeDraft): number[][] {
  const found: number[][] = [[]];
  rows.slice(1).forEach(({ token, parent }) => found.push([...found[parent]!, token]));
  return found.slice(1);
}

function assertWellFormed(draft: TreeDraft, tokens: readonly number[], options: TreeOptions) {
  const { numDraft = 31, limit = Infinity } = options;
  const { rows, sources, ngrams } = draft;
  assertEquals(rows[0], { token: tokens.at(-1)!, parent: 0, depth: 0 });
  assertEquals([rows.length, sources[0], ngrams[0]], [sources.length, 0, 0]);
  assertEquals(ngrams.length, rows.length);
  assert(rows.length <= 1 + numDraft);
  rows.slice(1).forEach(({ parent, depth }, i) => {
    assert(parent <= i && depth === rows[parent]!.depth + 1, "A parent comes before its children.");
    assert(tokens.length + depth < limit, "A draft that the limit makes vain.");
  });
  const all = paths(draft);
  assertEquals(new Set(all.map(String)).size, all.length, "No path stands in the tree twice.");
  all.forEach((path, i) => {
    const start = sources[i + 1]!;
    const n = ngrams[i + 1]!;
    assertEquals(path, tokens.slice(start, start + path.length), "A path is copied from the text.");
    const text = wordsOf(tokens, options);
    assertEquals(text.slice(start - n, start), text.slice(text.length - n));
    assert(start < tokens.length && start >= n);
  });
}

function randomCosts(random: Random): number[] {
  const step = random.pick([0, 3, 31, 102, 300, 2000]);
  const group = random.pick([1, 1, 4, 8]);
  return Array.from(
    { length: 32 },
    (_, i) => 1024 + step * group * Math.floor((i + group - 1) / group),
  );
}

/** Words of a few tokens each, for the tokens of these texts. */
function randomWords(random: Random): number[] {
  const size = random.between(1, 4);
  return Array.from({ length: 200 }, (_, token) => token - random.below(Math.min(size, token + 1)));
}

/** What much learning may have left, the utmost included. */
function randomBias(random: Random): number[] {
  return INITIAL_STATE.bias.map(() =>
    random.pick([-MAX_BIAS, MAX_BIAS, random.between(-MAX_BIAS, MAX_BIAS)])
  );
}

function randomOptions(random: Random, length: number): TreeOptions {
  return {
    numDraft: random.pick([0, 1, 10, 31, random.between(0, 31)]),
    ...random.chance(0.5) ? { limit: length + random.between(1, 12) } : {},
    ...random.chance(0.7) ? { rowCosts: randomCosts(random) } : {},
    ...random.chance(0.5) ? { words: randomWords(random) } : {},
  };
}

/** Generations over the texts of `buffers`, whose tokens come in place of a model's. */
function* generations(random: Random, count: number) {
  for (const text of buffers(count, 80)) {
    if (text.length === 0) continue;
    const options = randomOptions(random, text.length);
    let length = random.between(1, text.length);
    let state = random.chance(0.5) ? INITIAL_STATE : { ...INITIAL_STATE, bias: randomBias(random) };
    while (length <= text.length) {
      const tokens = text.slice(0, length);
      yield { tokens, state, options };
      const { rows, state: next } = draftTree(tokens, state, options);
      state = next;
      const chosen = rows.map(({ depth }) => text[length + depth] ?? random.below(12));
      length += accept(rows, chosen).tokens.length;
    }
  }
}

Deno.test(
  "draftTree equals the naive statement of its rules, pass after pass",
  seeded((random) => {
    let [passes, drafts] = [0, 0];
    for (const { tokens, state, options } of generations(random, 250)) {
      const draft = draftTree(tokens, state, options);
      assertWellFormed(draft, tokens, options);
      assertEquals(
        paths(draft).map(String),
        naive(tokens, state, options).drafts.map(String),
        JSON.stringify({ tokens, state, options }),
      );
      passes++;
      drafts += draft.rows.length - 1;
    }
    assert(drafts > passes, `only ${drafts} drafts in ${passes} passes: the texts test too little`);
  }),
);

Deno.test(
  "what the drafts teach follows from the tokens that came",
  seeded((random) => {
    for (const { tokens, state } of generations(random, 300)) {
      const { source, bias } = learn(state, tokens);
      const came = tokens.slice(state.length);
      const path = (row: number): number[] =>
        row === 0 ? [] : [...path(state.grown[row - 1]!.parent), state.grown[row - 1]!.token];
      const isAccepted = (row: number) =>
        path(row).every((token, i) => token === came[i]) && path(row).length <= came.length;
      const expected = state.bias.map((learned) => learned - Math.floor(learned / 128));
      let deepest = 0;
      state.grown.forEach((draft, i) => {
        if (!isAccepted(draft.parent) || draft.depth > came.length) return;
        const surprise = (isAccepted(i + 1) ? 65535 : 0) - draft.probability;
        const kind = kindOf(draft.evidence);
        expected[kind]! += Math.floor(surprise * P.rate[kind]! / 1024);
        if (isAccepted(i + 1)) deepest = Math.max(deepest, draft.depth);
      });
      assertEquals(bias, expected.map((b) => Math.max(-MAX_BIAS, Math.min(MAX_BIAS, b))));
      const last = state.grown.find((draft, i) => isAccepted(i + 1) && draft.depth === deepest);
      assertEquals(source, last ? last.source + 1 : state.source);
    }
  }),
);

Deno.test(
  "with any drafts the answer is the model's own",
  seeded((random) => {
    for (let i = 0; i < 300; i++) {
      const vocabulary = random.between(1, 6);
      const order = random.between(1, 3);
      // A model whose next token follows from the last few.
      const next = (text: readonly number[]) =>
        text.slice(-order).reduce((hash, token) => hash * 7 + token + 1, 3) % 1009 % vocabulary;
      const prompt = Array.from({ length: random.between(1, 30) }, () => random.below(vocabulary));
      const limit = prompt.length + random.between(1, 60);
      const plain = [...prompt];
      while (plain.length < limit) plain.push(next(plain));
      const text = [...prompt];
      const options = { ...randomOptions(random, 0), limit };
      let state = INITIAL_STATE;
      while (text.length < limit) {
        const draft = draftTree(text, state, options);
        state = draft.state;
        const chosen = [[] as number[], ...paths(draft)].map((path) => next([...text, ...path]));
        text.push(...accept(draft.rows, chosen, { limit: limit - text.length }).tokens);
      }
      assertEquals(text, plain);
    }
  }),
);

Deno.test("tokens that write the same word agree, and drafts are copied as they stand", () => {
  // The cat sat. the │ follows The in the text, if in other letters.
  const [The, the, cat, sat, stop] = [0, 1, 2, 3, 4];
  const text = [The, cat, sat, stop, the];
  const same = draftTree(text, INITIAL_STATE, { numDraft: 1, words: [0, 0, 2, 3, 4] });
  assertEquals([same.rows[1]!.token, same.sources[1], same.ngrams[1]], [cat, 1, 1]);
  const other = draftTree(text, INITIAL_STATE, { numDraft: 4 });
  assert(other.ngrams.every((ngram) => ngram === 0));
});

Deno.test("leastReach() is a quarter of what makes the cheapest further row worth its cost", () => {
  const parameters = { ...P, aroundTokens: 2560, aroundCost: 1024 };
  const least = (cost: (drafts: number) => number) => {
    return leastReach(Array.from({ length: 32 }, (_, i) => cost(i)), parameters);
  };
  assertEquals(leastReach(undefined, parameters), 0);
  assertEquals(least(() => 1024), 0);
  // A row that costs c in 1024ths is worth it from c * 3.5 tokens / 2 rows' cost on: a share of c * 1.75 / 1024.
  assertEquals(least((drafts) => 1024 + 31 * drafts), Math.floor(65536 / 4 * 31 * 1.75 / 1024));
  // Rows that come in one step are the cheaper the more there are.
  assertEquals(
    least((drafts) => drafts ? 1124 : 1024),
    Math.floor(65536 / 4 * 100 / 31 * 1.75 / 1024),
  );
  assertEquals(least((drafts) => 1024 + 60_000 * drafts), 65535);
});

Deno.test("a text of one or two tokens, and no drafts wanted", () => {
  assertEquals(draftTree([5], INITIAL_STATE).rows, [{ token: 5, parent: 0, depth: 0 }]);
  assertEquals(draftTree([5, 6], INITIAL_STATE).rows.map(({ token }) => token), [6, 6]);
  assertEquals(draftTree([5, 5, 5], INITIAL_STATE, { numDraft: 0 }).rows.length, 1);
  assertEquals(draftTree([5, 5, 5], INITIAL_STATE, { limit: 4 }).rows.length, 1);
});

Deno.test("drafts that cost as much as a pass are not worth it where nothing agrees", () => {
  const rowCosts = Array.from({ length: 32 }, (_, i) => 1024 * (i + 1));
  assertEquals(draftTree([1, 2, 3, 4, 5, 6], INITIAL_STATE, { rowCosts }).rows.length, 1);
});

Deno.test("rows that cost nothing are filled", () => {
  const tokens = Array.from({ length: 100 }, (_, i) => i);
  const rowCosts = [1024, 1024, 1024, 1024, ...new Array(28).fill(9999)];
  assertEquals(draftTree(tokens, INITIAL_STATE, { rowCosts }).rows.length, 4);
  assertEquals(draftTree(tokens, INITIAL_STATE).rows.length, 32);
});

Deno.test("the logistic function is within a thousandth of the exact one, and never falls", () => {
  let before = 0;
  for (let logit = -4000; logit <= 4000; logit++) {
    const p = logistic(logit);
    const exact = 65536 / (1 + Math.exp(-Math.min(Math.max(logit, -2048), 2047) / 256));
    assert(Number.isInteger(p) && p >= before && p > 0 && p < 65536, `${logit}: ${p}`);
    assert(Math.abs(p - exact) < 200, `${logit}: ${p}, not ${exact}`);
    before = p;
  }
});
