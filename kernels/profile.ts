/**
 * What is chosen for a device among kernels that differ in speed: by rule, or by a measurement that decode/ makes.
 *
 * @module
 */
import type { DeviceInfo } from "./device.ts";
import { MAX_ROWS, type VectorLanes } from "./stages.ts";
import type { WeightStorage } from "./weight_types.ts";

/** Choices among kernels that are equal to the bit and differ in speed, each from device to device. */
export interface Profile {
  /** Rows of a decoding pass that meet a lane's weights in registers. */
  readonly rowsTogether: 4 | 8 | 16;
  /** Pieces of weights that a lane of a decoding product asks for before it needs the first. */
  readonly piecesTogether: 1 | 2 | 4;
  /** Threads of a workgroup of a decoding product, a multiple of the lanes. */
  readonly threads: number;
  /** Quads of queries of a decoding pass that a workgroup's keys and values serve, if there are as many. */
  readonly quadsTogether: 1 | 2;
  /** Workgroups among which a stage that works row by row spreads its rows, at most. */
  readonly spread: number;
  /** How chunks of a prompt are multiplied, if in f32. */
  readonly promptProduct: "tiles" | "lowTiles" | "lanes";
  /** What weights lie in. */
  readonly weightStorage: WeightStorage;
}

/**
 * What may be chosen on a device: the first of each is what is taken unless another was measured to be faster.
 * Where the CPU plays the device there is nothing to choose but what weights lie in: measuring all takes 3 to 15 s there,
 * and ends now with one profile and now with another, about as fast as what is taken (llvmpipe, SwiftShader, two idle cores).
 */
export function profileChoices(
  info: DeviceInfo,
): { readonly [Name in keyof Profile]: readonly [Profile[Name], ...Profile[Name][]] } {
  const { isSoftware, subgroupSize } = info;
  const lanes = subgroupSize ?? 8;
  const vector = vectorLanes(info);
  const threads = vector
    ? [vector] // a quad each; one vector a workgroup, so that small matrices give both cores work
    : [64, 32, 128, 256].filter((threads) => threads >= lanes);
  if (isSoftware || subgroupSize === null) threads.length = 1;
  return {
    // Sixteen sums a lane are what software drivers keep in registers. (product_vector.wgsl has its own rule.) With eight
    // rows NVIDIA's compiler needs 112 to 142 registers in bf16, with four 77 to 108; but further rows read the weights again,
    // and from memory, where a card's cache is smaller than what all its lanes are at.
    rowsTogether: isSoftware ? [4] : hasFewRegisters(info) ? [4, 8, 16] : [8, 4, 16],
    piecesTogether: isSoftware ? [1] : [2, 4, 1],
    threads: threads as [number, ...number[]],
    // Two read keys and values half as often; on a CPU that saves a tenth of attention at best, and takes longer to compile
    // (bench/README.md). Without vectors one quad alone then costs almost as much as two.
    quadsTogether: isSoftware ? [1] : hasFewRegisters(info) ? [1, 2] : [2, 1],
    // On a CPU an idle workgroup costs as much as a small busy one, and a pass without drafts would pay for the
    // drafts it does not have (attention of one row after 300, model in the box, llvmpipe: 2.6 ms with 2, 1.7 with 1).
    spread: isSoftware ? [1] : [MAX_ROWS, 8, 2],
    promptProduct: vector
      ? ["lanes"]
      : isSoftware
      ? ["tiles"]
      : hasFewRegisters(info)
      ? ["lowTiles", "tiles"]
      : ["tiles", "lowTiles", ...(subgroupSize === 8 ? ["lanes" as const] : [])],
    // Which is faster depends on how Mesa loads, by its version and the CPU's instructions.
    weightStorage: vector ? ["texture", "buffer"] : ["buffer"],
  };
}

/** Lanes of subgroups that are a CPU's vector registers: 8 of llvmpipe on x86, 4 on ARM; null where they are not. */
export function vectorLanes(info: DeviceInfo): VectorLanes | null {
  const { isSoftware, subgroupSize, subgroupVaries } = info;
  if (!isSoftware || subgroupVaries) return null;
  return subgroupSize === 4 || subgroupSize === 8 ? subgroupSize : null;
}

/**
 * Whether a GPU's lanes have 128 registers at most: Intel's, known by subgroups that may have 8 or 16 lanes. What Mesa's
 * compiler (22.3 and 25.0, for Arc and Xe) makes of a prompt's product, for each multiply-add: 1.9 to 3.6 instructions and a
 * spilled register fetched or stored for every fourth in tiles, 1.3 to 1.4 and none in low ones, 3.4 to 16 in f16. What 22.3
 * makes of a prompt's attention: 3053 instructions and no spills with one quad, 18160 and 1350 with two. (Counted, not timed.)
 */
export function hasFewRegisters({ isSoftware, subgroupSize, subgroupVaries }: DeviceInfo): boolean {
  return !isSoftware && subgroupVaries && subgroupSize !== null && subgroupSize <= 16;
}

/** The profile of a device on which nothing was measured. */
export function defaultProfile(info: DeviceInfo): Profile {
  const choices = profileChoices(info);
  return {
    rowsTogether: choices.rowsTogether[0],
    piecesTogether: choices.piecesTogether[0],
    threads: choices.threads[0],
    quadsTogether: choices.quadsTogether[0],
    spread: choices.spread[0],
    promptProduct: choices.promptProduct[0],
    weightStorage: choices.weightStorage[0],
  };
}

/** Whether a value is a profile for a device. */
export function isProfile(value: unknown, info: DeviceInfo): value is Profile {
  return Object.entries(profileChoices(info)).every(([name, choices]) =>
    (choices as readonly unknown[]).includes(Object(value)[name])
  );
}

/** A way to multiply a chunk of a prompt. */
export interface PromptProduct {
  readonly stage: "promptMatmul" | "promptMatmulLow" | "promptMatmulF16" | "promptMatmulLanes";
  /** Rows and outputs that a workgroup makes. */
  readonly rows: number;
  readonly outputs: number;
  /**
   * In what workgroups that follow each other differ. If in their rows, a GPU has the weights from memory once and not once for
   * each tile of rows; the rows of a chunk are some megabytes, which stay in its cache. A CPU's caches hold the weights of
   * the model in the box, and then its L1 is better filled with rows.
   */
  readonly first: "rows" | "outputs";
}

/** The ways there are in f32: in tiles, for GPUs; lane by lane, for vector registers on a CPU. */
export const PROMPT_PRODUCTS = {
  tiles: { stage: "promptMatmul", rows: 64, outputs: 128, first: "rows" },
  lowTiles: { stage: "promptMatmulLow", rows: 32, outputs: 128, first: "rows" },
  lanes: { stage: "promptMatmulLanes", rows: 8, outputs: 32, first: "outputs" },
} as const satisfies Record<Profile["promptProduct"], PromptProduct>;

/** The way with multiply-adds of f16. Its bits are others, so that speed alone must never choose it. */
export const F16_PRODUCT: PromptProduct = {
  stage: "promptMatmulF16",
  rows: 64,
  outputs: 128,
  first: "rows",
};

/** Workgroups that multiply so many rows of a chunk with so many outputs. */
export function tileWorkgroups(
  tile: PromptProduct,
  rows: number,
  outputs: number,
): [number, number] {
  const [down, across] = [Math.ceil(rows / tile.rows), Math.ceil(outputs / tile.outputs)];
  return tile.first === "rows" ? [down, across] : [across, down];
}
