/**
 * How far one model's predictions are from another's.
 *
 * @module
 */

/** The measures of a model's logits against a reference's. */
export interface Quality {
  /** e to the mean negative log-probability of the text's own tokens. */
  readonly perplexity: number;
  /** Share of the positions where both find the same token likeliest. */
  readonly sameTop: number;
  /** Mean Kullback-Leibler divergence of the probabilities from the reference's, in nats. */
  readonly divergence: number;
  /** Size of the difference of the logits, centred at each position, relative to the reference's. */
  readonly logitsError: number;
}

/**
 * Compares logits position by position.
 *
 * @param reference Of each position, vocab_size values.
 * @param found The same of the model to judge.
 * @param targets The token that stands at each position.
 */
export function compareLogits(
  reference: readonly Float32Array[],
  found: readonly Float32Array[],
  targets: readonly number[],
): Quality {
  let [surprise, same, divergence, difference, size] = [0, 0, 0, 0, 0];
  targets.forEach((target, i) => {
    const p = logProbabilities(reference[i]!);
    const q = logProbabilities(found[i]!);
    surprise -= q[target]!;
    if (likeliest(p) === likeliest(q)) same++;
    const [pMean, qMean] = [mean(p), mean(q)];
    for (let token = 0; token < p.length; token++) {
      divergence += Math.exp(p[token]!) * (p[token]! - q[token]!);
      const centred = p[token]! - pMean;
      size += centred ** 2;
      difference += (q[token]! - qMean - centred) ** 2;
    }
  });
  const n = targets.length;
  return {
    perplexity: Math.exp(surprise / n),
    sameTop: same / n,
    divergence: divergence / n,
    logitsError: Math.sqrt(difference / size),
  };
}

function logProbabilities(logits: Float32Array): Float64Array {
  const peak = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  const sum = logits.reduce((sum, value) => sum + Math.exp(value - peak), 0);
  const shift = peak + Math.log(sum);
  return Float64Array.from(logits, (value) => value - shift);
}

function likeliest(values: Float64Array): number {
  return values.reduce((best, value, i) => value > values[best]! ? i : best, 0);
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
