/**
 * What the tree drafter knows beforehand: how likely drafts are to be accepted, by the evidence for them.
 *
 * Logits are in 256ths, so that a sum of them stays an integer.
 *
 * @module
 */

/** The numbers of the tree drafter; its rules are in tree.ts. */
export interface TreeParameters {
  /** What a candidate's vote weighs, by its agreement, below 65536; the last entry holds for all longer ones. */
  readonly weights: readonly number[];
  /** Logit by agreement, see {@linkcode AGREEMENT_BOUNDS}. */
  readonly agreement: readonly number[];
  /** Logit by resumed agreement 0 to 3, and by agreement 0, 1, 2, 3 and more. */
  readonly resumed: readonly (readonly number[])[];
  /** Logit of standing near the place copied from last, by agreement 0, 1, 2, 3 and more. */
  readonly near: readonly number[];
  /** Logit by share of the votes, see {@linkcode SHARE_BOUNDS}: with agreement 0, and with more. */
  readonly share: readonly (readonly number[])[];
  /** Logit by number of votes, see {@linkcode VOTES_BOUNDS}: with agreement 0, and with more. */
  readonly votes: readonly (readonly number[])[];
  /** Logit by distance from the end of the text, see {@linkcode DISTANCE_BOUNDS}: the same. */
  readonly distance: readonly (readonly number[])[];
  /** How fast each kind of draft learns from its fate: logits in 65536ths per 65536ths of surprise, times 1024. */
  readonly rate: readonly number[];
  /** Tokens of the passes around the present one, in 1024ths: what {@linkcode aroundCost} buys. */
  readonly aroundTokens: number;
  /** Cost of the passes around the present one that its worth is averaged with, in 1024ths of a row's. */
  readonly aroundCost: number;
}

/** Where the buckets of agreement begin, after the first. */
export const AGREEMENT_BOUNDS = [1, 2, 3, 4, 5, 6, 8, 12, 16] as const;
/** Where the buckets of resumed agreement begin, after the first. */
export const RESUMED_BOUNDS = [1, 3, 6] as const;
/** Where the buckets of share begin, in 1024ths. */
export const SHARE_BOUNDS = [16, 31, 52, 103, 205, 338, 512, 768, 922, 1023] as const;
/** Where the buckets of the number of votes begin. */
export const VOTES_BOUNDS = [2, 3, 5] as const;
/** Where the buckets of distance begin, in tokens. */
export const DISTANCE_BOUNDS = [17, 65, 257] as const;

/**
 * What the kinds of drafts are taken to have learned when a generation begins, logits in 65536ths: doubts, so
 * that drafts that turn out not to pay have cost little until that is known.
 */
export const INITIAL_BIAS = [0, -65536, -65536] as const;

/** Fitted by tools/fit_drafter.ts. */
export const TREE_PARAMETERS: TreeParameters = {
  weights: [1, 64, 256, 1024, 4096, 16384, 65535],
  agreement: [-639, -163, -102, -83, -66, -3, -49, -26, 29, 211],
  resumed: [[0, 0, 0, 0], [292, 57, 20, 1], [470, 175, -20, 34], [508, 381, 136, 229]],
  near: [145, 228, 167, 83],
  share: [[-451, -295, -181, -69, 134, 117, 105, 0, 0, 0, 0], [
    -430,
    -561,
    -509,
    -363,
    -256,
    -85,
    33,
    245,
    473,
    498,
    703,
  ]],
  votes: [[-323, -200, -102, -13], [-210, -98, -23, 80]],
  distance: [[-129, -121, -200, -190], [-164, -50, -55, 18]],
  rate: [20, 102, 102],
  aroundTokens: 2560,
  aroundCost: 1024,
};
