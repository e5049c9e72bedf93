/**
 * From values to places in a plot.
 *
 * @module
 */

/** A vertical axis. */
export interface Scale {
  /** Where a value stands. */
  readonly place: (value: number) => number;
  /** Values to write beside the axis. */
  readonly ticks: readonly number[];
  /** Whether values are ratios, so that 1 means as much as before. */
  readonly isRatio: boolean;
}

/** From 0 at `bottom` to a round number not below `max` near `top`. */
export function linearScale(max: number, bottom: number, top: number): Scale {
  const power = 10 ** Math.floor(Math.log10(max / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step * 5 >= max)!;
  const count = Math.ceil(max / step);
  return {
    place: (value) => bottom + (top - bottom) * value / (count * step),
    ticks: Array.from({ length: count + 1 }, (_, i) => i * step),
    isRatio: false,
  };
}

/** Doublings, as ratios ask for: from a power of two not above `min` to `max`, a doubling a tick. */
export function ratioScale(min: number, max: number, bottom: number, top: number): Scale {
  const low = Math.floor(Math.log2(min) + 1e-9);
  const high = Math.max(low + 1, Math.log2(max));
  return {
    place: (value) => bottom + (top - bottom) * (Math.log2(value) - low) / (high - low),
    ticks: Array.from({ length: Math.floor(high - low + 1e-9) + 1 }, (_, i) => 2 ** (low + i)),
    isRatio: true,
  };
}

/** A value with two or three digits that count. */
export function short(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

/** The value below which a share of the sorted values lies, interpolated. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at % 1);
}
