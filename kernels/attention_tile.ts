/**
 * How attention is laid out in workgroups.
 *
 * @module
 */
import { CHUNK } from "./stages.ts";

/** Workgroup memory that every device has, in bytes. */
const WORKGROUP_BYTES = 16384;

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
 * @param threads Threads of a workgroup.
 * @param mostQuads Quads of queries in a workgroup; 1 where two do not fit its memory.
 */
export function attentionTile(half: number, threads: number, mostQuads: 1 | 2): AttentionTile {
  const half8 = Math.ceil(half / 8) * 8;
  const pool = 2 * half8 + CHUNK; // of a quad, in vec4f
  // With it a prompt's sums, and what the threads find of two quads, whether there are two or not.
  const bytes = (quads: number) => quads * (16 * pool + 32 * half) + threads * 2 * 32;
  const quads = mostQuads === 2 && bytes(2) <= WORKGROUP_BYTES ? 2 : 1;
  return {
    queries: 4 * quads,
    constants: {
      HALF8: half8,
      THREADS: threads,
      QUADS: quads,
      POOL: quads * pool,
      SUMS: quads * half,
    },
  };
}
