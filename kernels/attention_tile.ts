/**
 * How attention is laid out in workgroups.
 *
 * @module
 */
import type { DeviceInfo } from "./device.ts";
import { vectorLanes } from "./profile.ts";
import { CHUNK, MAX_ROWS, type VectorLanes } from "./stages.ts";

/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;
/** Threads of a workgroup that every device has. */
const WORKGROUP_THREADS = 256;

/** What a device's attention is laid out by: rules, and not timings, since the order of sums depends on it. */
export interface AttentionRules {
  /** Lanes of subgroups that are a CPU's vector registers, for the stages ending in _vector; null where they are not. */
  readonly vector: VectorLanes | null;
  /** Whether a CPU plays the device: each thread takes part in every barrier there, so there are fewer of them. */
  readonly isSoftware: boolean;
  /** Threads that share a key at most; within a subgroup of 8 (lib/attention_shared.wgsl). */
  readonly sharers: 1 | 4;
}

/** A device's rules. */
export function attentionRules(info: DeviceInfo): AttentionRules {
  const { isSoftware, subgroupSize } = info;
  return {
    vector: vectorLanes(info),
    isSoftware,
    sharers: isSoftware || subgroupSize === null || subgroupSize < 8 ? 1 : 4,
  };
}

/** How a stage of attention is laid out. */
export interface AttentionTile {
  /** Queries that a workgroup takes together. */
  readonly queries: number;
  /** The constants that follow. */
  readonly constants: Record<string, number>;
}

/**
 * The layout of attention with heads of `2 · half` dimensions.
 *
 * @param mostQuads Quads of queries in a workgroup; 1 where two do not fit its memory.
 */
export function attentionTile(
  half: number,
  rules: AttentionRules,
  mostQuads: 1 | 2,
): AttentionTile {
  // Sharers take sixteen pairs each at once, lanes of a vector four together.
  const sharers = Math.min(rules.sharers, powerOfTwo(half / 16));
  const unit = rules.vector ? 4 : 16 * sharers;
  const pairs = Math.ceil(half / unit) * unit;
  const tile = powerOfTwo(half);
  const alone = rules.isSoftware ? 32 : 64;
  const threads = rules.vector ?? Math.max(alone * sharers, tile);
  const scorers = Math.min(threads, CHUNK / 2);
  const found = Math.max(scorers, threads > tile ? tile : 0);
  const pool = 2 * pairs + CHUNK; // of a quad, in vec4f
  // With it, where a query is, 64 bytes a quad; what threads find; and a prompt's sums, or the paths of a pass's queries.
  const bytes = (quads: number) =>
    quads * (16 * pool + 64 + Math.max(32 * half, 16 * MAX_ROWS)) + found * 32;
  const quads = mostQuads === 2 && bytes(2) <= WORKGROUP_BYTES ? 2 : 1;
  return {
    queries: 4 * quads,
    constants: {
      PAIRS: pairs,
      THREADS: threads,
      SHARERS: sharers,
      TILE: tile,
      COMBINERS: rules.isSoftware ? tile : Math.max(tile, WORKGROUP_THREADS),
      QUADS: quads,
      POOL: quads * pool,
      SCORERS: scorers,
      FOUND: found,
      SUMS: quads * half,
    },
  };
}

/** The least power of two that is no smaller. */
function powerOfTwo(n: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(n)));
}
