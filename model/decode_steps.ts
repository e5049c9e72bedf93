/**
 * The steps of a decoding pass.
 *
 * @module
 */
import type { BufferRegion } from "../kernels/device.ts";
import { MAX_WORKGROUPS } from "../kernels/stages.ts";
import { planes } from "../kernels/weight_types.ts";
import { passStride, type Workspace } from "./memory.ts";
import { type Stages, type Step, step } from "./model_stages.ts";
import type { Matrix, MatrixPart, Weights } from "./weights.ts";

/**
 * Workgroups of attention that keep any GPU busy. Of many rows' worth a pass without drafts leaves all but the first idle,
 * and each costs something: at 32k tokens of Mistral-7B they would be 32768 a layer.
 */
const ENOUGH_WORKGROUPS = 1024;

/** embed, then each layer's qkv, attend, combine, out, gate and up, down; then the head. */
export function decodeSteps(
  stages: Stages,
  weights: Weights,
  b: Record<Workspace, GPUBuffer>,
  caches: readonly BufferRegion[],
): Step[] {
  const { hiddenStride, attentionStride, intermediateStride } = stages.dimensions;
  // How a stage lays out rows that a product with `matrix` reads.
  const rowsFor = ({ type }: Matrix, stride: number) => {
    return { STRIDE: passStride(stride), PLANES: planes(type) };
  };
  const { compiler, config: { numKeyValueHeads } } = stages;
  const { spread } = compiler.profile;
  const steps: Step[] = [];
  const add = (...parts: Parameters<typeof step>) => steps.push(step(...parts));
  // A quad is four weight rows.
  const quads = (part: MatrixPart) => {
    const count = Math.ceil(part.rows / 4 / compiler.quads);
    return () => [count] as const;
  };

  // What a stage that changes the residual stream writes, and the gain of the norm that comes next.
  const stream = (gain: GPUBuffer) => [b.residual, b.gained, b.squares, gain];
  const first = weights.layers[0]!;
  for (const part of weights.embedding.parts) {
    const layout = rowsFor(first.qkv, hiddenStride);
    const kernel = stages.product("embed", weights.embedding, layout);
    const next = stream(first.inputNorm);
    add(kernel, [part.weights, b.rows, part.decode, ...next], (rows) => [rows]);
  }
  weights.layers.forEach((layer, i) => {
    const cache = caches[i]!;
    for (const part of layer.qkv.parts) {
      const kernel = stages.product("qkv", layer.qkv);
      const inputs = [b.rows, b.gained, b.squares, b.rope];
      add(kernel, [part.weights, ...inputs, b.q, cache, part.decode], quads(part));
    }
    add(
      stages.kernel("attend"),
      [b.rows, b.q, cache, b.sums, b.peaks],
      (rows, chunks) => {
        const tiles = Math.min(stages.attentionTiles("attend", rows), spread);
        const enough = Math.ceil(ENOUGH_WORKGROUPS / chunks / numKeyValueHeads);
        // Heads first: their keys and values of a position lie side by side.
        return [numKeyValueHeads, Math.min(chunks, MAX_WORKGROUPS), Math.min(tiles, enough)];
      },
    );
    add(
      stages.kernel("combine", rowsFor(layer.out, attentionStride)),
      [b.rows, b.sums, b.peaks, b.attention],
      (rows) => [stages.config.numAttentionHeads, Math.min(rows, spread)],
    );
    for (const part of layer.out.parts) {
      const kernel = stages.product("project", layer.out, rowsFor(layer.gateUp, hiddenStride));
      const next = stream(layer.postNorm);
      add(kernel, [part.weights, b.rows, b.attention, ...next, part.decode], quads(part));
    }
    for (const part of layer.gateUp.parts) {
      const kernel = stages.product(
        "gateUp",
        layer.gateUp,
        rowsFor(layer.down, intermediateStride),
      );
      add(kernel, [part.weights, b.rows, b.gained, b.squares, b.h, part.decode], quads(part));
    }
    const after = weights.layers[i + 1];
    for (const part of layer.down.parts) {
      const layout = rowsFor(after?.qkv ?? weights.head, hiddenStride);
      const kernel = stages.product("project", layer.down, layout);
      const next = stream(after?.inputNorm ?? weights.norm);
      add(kernel, [part.weights, b.rows, b.h, ...next, part.decode], quads(part));
    }
  });
  for (const part of weights.head.parts) {
    const kernel = stages.product("head", weights.head);
    add(kernel, [part.weights, b.rows, b.gained, b.squares, b.logits, part.decode], quads(part));
  }
  return steps;
}
