/**
 * The drafters on the GPU: what a step begins with.
 *
 * @module
 */
import type { Gpu } from "../kernels/device.ts";
import type { Compiler, Dispatch } from "../kernels/compiler.ts";
import type { Stage } from "../kernels/stages.ts";
import type { GenerationBuffer } from "./state.ts";
import { initialMemory, treeOptions } from "./tree_buffers.ts";

/** How drafts are found. */
export interface DraftOptions {
  /** The rule: decode/lookup.ts or decode/tree.ts. */
  readonly drafter: "original" | "tree";
  /** Drafts of a pass at most, 0 to 31; 0 is plain decoding. */
  readonly numDraft: number;
  /** Longest n-gram that the original rule looks up, 1 to 15. */
  readonly maxNgram: number;
  /** What passes of 1, 2, … 32 rows cost relative to one row; the tree has drafts that are worth it. */
  readonly rowCosts: readonly number[];
}

/** The drafters, bound to their buffers. */
export class Drafters {
  #queue: GPUQueue;
  #buffers: Record<GenerationBuffer, GPUBuffer>;
  #original: readonly Dispatch[];
  #tree: readonly Dispatch[];
  #options: GPUBuffer;

  /** Binds both; the compiler compiles them later. */
  constructor(
    gpu: Gpu,
    compiler: Compiler,
    rows: GPUBuffer,
    b: Record<GenerationBuffer, GPUBuffer>,
  ) {
    const dispatch = (stage: Stage, ...buffers: GPUBuffer[]): Dispatch => {
      const kernel = compiler.kernel(stage, {}, {});
      return { kernel, bindings: kernel.bind(...buffers), workgroups: [1] };
    };
    this.#queue = gpu.device.queue;
    this.#buffers = b;
    this.#options = gpu.uniform("draft options", [0, 0]);
    this.#original = [dispatch("draft", b.state, b.tokens, rows, b.sources, this.#options)];
    this.#tree = [
      dispatch(
        "treeCandidates",
        b.state,
        b.tokens,
        b.treeMemory,
        b.treeKeys,
        b.treeCandidates,
        b.treeOptions,
        b.words,
        b.textWords,
      ),
      dispatch(
        "treeGrow",
        b.state,
        b.tokens,
        rows,
        b.sources,
        b.treeMemory,
        b.treeCandidates,
        b.treeOptions,
      ),
    ];
  }

  /** Begins a generation. Returns what each step of it begins with. */
  begin({ drafter, numDraft, maxNgram, rowCosts }: DraftOptions): readonly Dispatch[] {
    const { treeOptions: options, treeMemory } = this.#buffers;
    this.#queue.writeBuffer(this.#options, 0, new Uint32Array([maxNgram, numDraft]));
    this.#queue.writeBuffer(options, 0, treeOptions(numDraft, rowCosts));
    this.#queue.writeBuffer(treeMemory, 0, initialMemory());
    // Without drafts both make the same one row, the original with less to do.
    return drafter === "tree" && numDraft > 0 ? this.#tree : this.#original;
  }

  /** Both drafters, to be run once after a stop. */
  get all(): readonly Dispatch[] {
    return [...this.#original, ...this.#tree];
  }
}
