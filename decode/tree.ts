/**
 * The tree drafter: every place of the text proposes how it might go on, and the proposals that pay form a
 * tree, which one pass verifies.
 *
 * This is the specification of the tree kernel. It counts in integers alone, so that a GPU finds the same
 * drafts: i32 or u32 without overflow, `>>` rounding down, `/` rounding to zero.
 *
 * 1. A candidate is a place p in the text, whose tokens before p agree with the end of the text over some
 *    length, perhaps 0, and perhaps again behind a token that differs, as one line of a list agrees with
 *    the next. Tokens agree that write the same word. The {@linkcode CANDIDATES} best are kept.
 * 2. Candidates that go on with the same tokens vote for the same draft. How likely a draft is to be
 *    accepted once its parent is, is a logistic model of the evidence for it, plus what drafts of its kind
 *    have taught in this generation.
 * 3. The tree grows by the likeliest draft, one at a time, as long as one might pay, and is cut where tokens per
 *    cost are best.
 *
 * @module
 */
import type { Row } from "./rows.ts";
import {
  AGREEMENT_BOUNDS,
  DISTANCE_BOUNDS,
  INITIAL_BIAS,
  RESUMED_BOUNDS,
  SHARE_BOUNDS,
  TREE_PARAMETERS,
  type TreeParameters,
  VOTES_BOUNDS,
} from "./tree_parameters.ts";

/** Places that propose drafts, at most. */
export const CANDIDATES = 64;
/** Agreement is compared up to this length. */
export const MAX_AGREEMENT = 15;
/** Behind the first token that disagrees, agreement is compared over up to so many more. */
export const MAX_RESUMED = 6;
/** A candidate is near if it stands at the place copied from last or at most so many tokens behind it. */
export const NEAR_AFTER = 12;
/** The learned logits of a kind stay within this, in 65536ths. */
export const MAX_BIAS = 4 << 16;

/** Kinds of drafts, which learn apart: without agreement, outvoted, and with half of the votes or more. */
export const KINDS = 3;

/** What speaks for a draft. */
export interface Evidence {
  /** How many tokens before it agree with the text and the drafts above it, at the best of its candidates. */
  readonly agreement: number;
  /** How far that candidate agrees again behind the first token that differs: 0 to 3. */
  readonly resumed: number;
  /** Whether that candidate is near the place copied from last. */
  readonly isNear: boolean;
  /** The weight of its votes, in 1024ths of that of all that follow its parent. */
  readonly share: number;
  /** The number of its votes. */
  readonly votes: number;
  /** How far before the end of the text its best candidate stands. */
  readonly distance: number;
}

/** A draft of the tree as it was grown, before it was cut. */
export interface GrownDraft extends Row {
  /** Where in the text it is copied from. */
  readonly source: number;
  /** Agreement of the candidate it is copied from, not counting drafts. */
  readonly ngram: number;
  /** Why it was drafted. */
  readonly evidence: Evidence;
  /** Its estimated probability once its parent is accepted, in 65536ths. */
  readonly probability: number;
}

/** What the drafter remembers from pass to pass. */
export interface DrafterState {
  /** Length of the text when `grown` was. */
  readonly length: number;
  /** Where the last accepted draft would have gone on: the place copied from last. 0 is none. */
  readonly source: number;
  /** What each kind of draft has learned, a logit in 65536ths. */
  readonly bias: readonly number[];
  /** The tree of the last pass, cut or not; row r is `grown[r - 1]`. */
  readonly grown: readonly GrownDraft[];
}

/** What the drafter remembers at the start of a generation. */
export const INITIAL_STATE: DrafterState = {
  length: 0,
  source: 0,
  bias: INITIAL_BIAS,
  grown: [],
};

/** Options of {@linkcode draftTree}. */
export interface TreeOptions {
  /** Drafts of a pass at most, 0 to 31. Default 31. */
  readonly numDraft?: number;
  /** Length of the text at which the generation stops. Default none. */
  readonly limit?: number;
  /** What a pass of 1, 2, … 32 rows costs, in 1024ths of one row's, never falling, below 64 × 1024. Default: drafts are free. */
  readonly rowCosts?: ArrayLike<number>;
  /** By token, a token that stands for all that write the same word: see `Tokenizer.words`. Default: every token for itself. */
  readonly words?: ArrayLike<number> | undefined;
  /** Default: {@linkcode TREE_PARAMETERS}. */
  readonly parameters?: TreeParameters;
}

/** The rows of a pass, and what to remember for the next. */
export interface TreeDraft {
  /** Row 0 is the last token, the others are drafts. */
  readonly rows: readonly Row[];
  /** For each row, where in the text the continuation begins that it was copied from; 0 for row 0. */
  readonly sources: readonly number[];
  /** For each row, how many tokens before its candidate's place agreed; 0 for row 0. */
  readonly ngrams: readonly number[];
  /** To be given with the next pass. */
  readonly state: DrafterState;
}

/**
 * Drafts a tree of next tokens.
 *
 * @param tokens Prompt and answer so far, at least one.
 * @param state What the last pass of this generation left, or {@linkcode INITIAL_STATE}.
 *
 * @example
 * ```ts
 * import { draftTree, INITIAL_STATE } from "./tree.ts";
 *
 * const { rows } = draftTree([1, 2, 3, 4, 5, 1, 2], INITIAL_STATE, { numDraft: 3 });
 * console.log(rows.map(({ token }) => token)); // [2, 3, 4, 5]
 * ```
 */
export function draftTree(
  tokens: ArrayLike<number>,
  state: DrafterState,
  { numDraft = 31, limit = Infinity, rowCosts, words, parameters = TREE_PARAMETERS }: TreeOptions =
    {},
): TreeDraft {
  const { source, bias } = learn(state, tokens, parameters);
  // A pass yields one token more than it accepts, so drafts this deep or deeper would be in vain.
  const depthLimit = limit - tokens.length - 1;
  const candidates = findCandidates(tokens, source, words);
  const least = leastReach(rowCosts, parameters);
  const grown = grow(tokens, candidates, bias, numDraft, depthLimit, least, parameters);
  const drafts = grown.slice(0, worthwhile(grown, rowCosts, parameters));
  return {
    rows: [
      { token: tokens[tokens.length - 1]!, parent: 0, depth: 0 },
      ...drafts.map(({ token, parent, depth }) => ({ token, parent, depth })),
    ],
    sources: [0, ...drafts.map(({ source, depth }) => source + 1 - depth)],
    ngrams: [0, ...drafts.map((draft) => draft.ngram)],
    state: { length: tokens.length, source, bias, grown },
  };
}

/**
 * What the tokens that have come since teach about the drafts of the last pass: those below accepted ones
 * were right or wrong. Drafts that were grown but not verified teach too, so that a kind that has stopped
 * paying is taken up again when it would pay.
 */
export function learn(
  state: DrafterState,
  tokens: ArrayLike<number>,
  { rate }: TreeParameters = TREE_PARAMETERS,
): Pick<DrafterState, "source" | "bias"> {
  let { source } = state;
  const bias = state.bias.map((learned) => learned - (learned >> 7));
  let parent = 0;
  for (let at = state.length; at < tokens.length; at++) {
    let accepted = 0;
    state.grown.forEach((draft, i) => {
      if (draft.parent !== parent) return;
      const isRight = draft.token === tokens[at];
      if (isRight) accepted = i + 1;
      const kind = kindOf(draft.evidence);
      bias[kind]! += ((isRight ? 65535 : 0) - draft.probability) * rate[kind]! >> 10;
    });
    if (accepted === 0) break;
    source = state.grown[accepted - 1]!.source + 1;
    parent = accepted;
  }
  return {
    source,
    bias: bias.map((learned) => Math.min(Math.max(learned, -MAX_BIAS), MAX_BIAS)),
  };
}

/** A place in the text from which drafts may be copied. */
export interface Candidate {
  /** Index into the text of the first draft. */
  readonly place: number;
  /** How many tokens before it write the words that the text ends with, up to {@linkcode MAX_AGREEMENT}. */
  readonly agreement: number;
  /** How far they do again behind the first that does not: 0 to 3, see {@linkcode RESUMED_BOUNDS}. */
  readonly resumed: number;
  /** Whether it stands near the place copied from last. */
  readonly isNear: boolean;
}

/** The best candidates: by agreement, then by resumed agreement, then near ones first, then late ones first. */
function findCandidates(
  tokens: ArrayLike<number>,
  source: number,
  words?: ArrayLike<number>,
): Candidate[] {
  const { length } = tokens;
  const text = words ? Array.from(tokens, (token) => words[token]!) : tokens;
  /** How many tokens agree behind the last `skip` of the text and those before `place`, up to `most`. */
  function agreeing(place: number, skip: number, most: number): number {
    let count = 0;
    while (
      count < most && skip + count < place &&
      text[place - 1 - skip - count] === text[length - 1 - skip - count]
    ) count++;
    return count;
  }
  /** The latest candidates of each rank, late ones first. */
  const ranks: Candidate[][] = Array.from({ length: 8 * (MAX_AGREEMENT + 1) }, () => []);
  for (let place = length - 1; place >= 1; place--) {
    const agreement = agreeing(place, 0, MAX_AGREEMENT);
    const resumed = bucket(agreeing(place, agreement + 1, MAX_RESUMED), RESUMED_BOUNDS);
    const isNear = source > 0 && place >= source && place <= source + NEAR_AFTER;
    const rank = ranks[8 * agreement + 2 * resumed + Number(isNear)]!;
    if (rank.length < CANDIDATES) rank.push({ place, agreement, resumed, isNear });
  }
  return ranks.reverse().flat().slice(0, CANDIDATES);
}

/** A draft that is not in the tree yet, though its parent is. */
interface Leaf extends GrownDraft {
  /** The candidates that propose it, the best first. */
  readonly voters: readonly Candidate[];
  /** Its estimated probability, its ancestors' included, in 65536ths. */
  readonly reach: number;
}

/**
 * How likely a draft has to be for the tree to grow it, its ancestors included, in 65536ths: a quarter of what
 * would make the cheapest further row worth its cost. Less likely ones are not verified and teach little, and
 * where there is nothing to draft, a step then takes hardly longer than a plain one.
 */
export function leastReach(
  rowCosts: ArrayLike<number> | undefined,
  { aroundTokens, aroundCost }: TreeParameters,
): number {
  if (!rowCosts) return 0;
  const plain = rowCosts[0]!;
  const cheapest = Math.min(
    ...Array.from(rowCosts).slice(1).map((cost, i) => (cost - plain) / (i + 1)),
  );
  return Math.min(Math.floor(16 * cheapest * (aroundTokens + 1024) / (aroundCost + plain)), 65535);
}

/** Grows the tree by the likeliest leaf at a time; of equals the least deep, then that of the best candidate. */
function grow(
  tokens: ArrayLike<number>,
  candidates: readonly Candidate[],
  bias: readonly number[],
  numDraft: number,
  depthLimit: number,
  least: number,
  parameters: TreeParameters,
): (GrownDraft & { reach: number })[] {
  /** The drafts that `voters` propose below row `parent`. */
  function branch(voters: readonly Candidate[], parent: number, depth: number, reach: number) {
    if (depth > depthLimit) return [];
    const proposals = Map.groupBy(
      voters.filter(({ place }) => place + depth - 1 < tokens.length),
      ({ place }) => tokens[place + depth - 1]!,
    );
    const weigh = (some: readonly Candidate[]) =>
      some.reduce(
        (sum, { agreement }) =>
          sum + parameters.weights[Math.min(agreement, parameters.weights.length - 1)]!,
        0,
      );
    const all = weigh([...proposals.values()].flat());
    return [...proposals].map(([token, voters]): Leaf => {
      const best = voters[0]!;
      const evidence = {
        agreement: best.agreement + depth - 1,
        resumed: best.resumed,
        isNear: best.isNear,
        share: Math.trunc(weigh(voters) * 1024 / all),
        votes: voters.length,
        distance: tokens.length - best.place,
      };
      const probability = estimate(evidence, bias, parameters);
      return {
        token,
        parent,
        depth,
        source: best.place + depth - 1,
        ngram: best.agreement,
        evidence,
        probability,
        voters,
        reach: Math.floor(reach * probability / 65536),
      };
    });
  }
  const order = new Map(candidates.map((candidate, i) => [candidate, i]));
  const rank = ({ voters }: Leaf) => order.get(voters[0]!)!;
  const leaves = branch(candidates, 0, 1, 65535);
  const grown: Leaf[] = [];
  while (grown.length < numDraft && leaves.length > 0) {
    const next = leaves.reduce((a, b) =>
      (b.reach - a.reach || a.depth - b.depth || rank(a) - rank(b)) > 0 ? b : a
    );
    if (next.reach < least) break;
    leaves.splice(leaves.indexOf(next), 1);
    grown.push(next);
    leaves.push(...branch(next.voters, grown.length, next.depth + 1, next.reach));
  }
  return grown;
}

/** The index of the bucket that `value` falls in. */
export function bucket(value: number, bounds: readonly number[]): number {
  return bounds.filter((bound) => bound <= value).length;
}

/** Which kind of draft learns from a draft with this evidence. */
export function kindOf({ agreement, share }: Evidence): number {
  return agreement === 0 ? 0 : share < 512 ? 1 : 2;
}

/** The probability that a draft is accepted once its parent is, in 65536ths. */
function estimate(
  evidence: Evidence,
  bias: readonly number[],
  { agreement, resumed, near, share, votes, distance }: TreeParameters,
): number {
  const some = Math.min(evidence.agreement, 1);
  const logit = agreement[bucket(evidence.agreement, AGREEMENT_BOUNDS)]! +
    resumed[evidence.resumed]![Math.min(evidence.agreement, 3)]! +
    (evidence.isNear ? near[Math.min(evidence.agreement, 3)]! : 0) +
    share[some]![bucket(evidence.share, SHARE_BOUNDS)]! +
    votes[some]![bucket(evidence.votes, VOTES_BOUNDS)]! +
    distance[some]![bucket(evidence.distance, DISTANCE_BOUNDS)]! +
    (bias[kindOf(evidence)]! >> 8);
  return logistic(logit);
}

/** 65536 / (1 + exp(-x)) for x = -8, -7.5, … 8. */
export const LOGISTIC: readonly number[] = Array.from(
  { length: 33 },
  (_, i) => Math.round(65536 / (1 + Math.exp(8 - i / 2))),
);

/** The logistic function of a logit in 256ths, in 65536ths, between the points of a table. */
export function logistic(logit: number): number {
  const x = Math.min(Math.max(logit + 2048, 0), 4095);
  const [a, b] = [LOGISTIC[x >> 7]!, LOGISTIC[(x >> 7) + 1]!];
  return a + ((b - a) * (x & 127) >> 7);
}

/** How many of the drafts to verify: so that the tokens expected per cost are most; of equals, the more. */
function worthwhile(
  grown: readonly { reach: number }[],
  rowCosts: ArrayLike<number> | undefined,
  { aroundTokens, aroundCost }: TreeParameters,
): number {
  let sum = 0;
  let best = { count: 0, tokens: aroundTokens + 1024, cost: aroundCost + 1024 };
  if (rowCosts) best.cost = aroundCost + rowCosts[0]!;
  grown.forEach(({ reach }, i) => {
    sum += reach;
    const tokens = aroundTokens + 1024 + (sum >> 6);
    const cost = aroundCost + (rowCosts ? rowCosts[i + 1]! : 1024);
    if (tokens * best.cost >= best.tokens * cost) best = { count: i + 1, tokens, cost };
  });
  return best.count;
}
