/**
 * What a step of drafting takes by the length of the text, by the GPU's clock: the tree drafter in a natural text,
 * and in the worst one, where every token matches.
 *
 *     deno run -A bench/drafting.ts
 *
 * A pass of Mistral-7B in bf16 reads 14.2 GB; drafting should take 2% of it at most.
 *
 * @module
 */
import { Drafters } from "../decode/drafters.ts";
import { type GenerationBuffer, generationBuffers, initialState } from "../decode/state.ts";
import { ownWords } from "../decode/tree_buffers.ts";
import { openGpu } from "../kernels/open_gpu.ts";
import { Compiler, encode } from "../kernels/compiler.ts";
import { MAX_ROWS } from "../kernels/stages.ts";
import { dimensions, workspaces } from "../model/memory.ts";
import { copyBandwidth } from "./copy_bandwidth.ts";
import { fastestOnGpu } from "./gpu_clock.ts";
import { passBytes, shapeConfig } from "./shapes.ts";

const LENGTHS = [1024, 8192, 32768 - MAX_ROWS];
const CONTEXT = 32768;
const config = shapeConfig("mistral-7b");

using gpu = await openGpu();
const { queue } = gpu.device;
const b = {} as Record<GenerationBuffer, GPUBuffer>;
for (const [name, bytes] of Object.entries(generationBuffers(config.vocabSize, CONTEXT))) {
  b[name as GenerationBuffer] = gpu.buffer(name, bytes);
}
const rows = gpu.buffer("rows", workspaces(config, dimensions(config, CONTEXT, "f16")).rows);
queue.writeBuffer(b.words, 0, ownWords(config.vocabSize));
const drafters = new Drafters(gpu, new Compiler(gpu), rows, b);

/** A text in which a word is followed by few others, as in language: a walk over a random graph. */
function natural(length: number): Uint32Array<ArrayBuffer> {
  let state = 1;
  const draw = () => state = Math.imul(state, 1664525) + 1013904223 >>> 0;
  const tokens = new Uint32Array(length);
  for (let i = 1; i < length; i++) {
    // One of four followers of the last token, the first of them most often; words are of unequal frequency.
    const choice = Math.min(3, Math.clz32(draw()));
    tokens[i] = (Math.imul(tokens[i - 1]! + 1, 2654435761) >>> 0) % 4099 * (choice + 1) % 4096;
  }
  return tokens;
}

const texts = { "natural": natural, "one token": (length: number) => new Uint32Array(length) };
const bandwidth = await copyBandwidth(gpu);
const pass = bandwidth && passBytes(config) / bandwidth;
console.log(
  `${gpu.info.name}` +
    (pass
      ? `: a pass of Mistral-7B in bf16 takes ${(pass * 1e3).toFixed(2)} ms at copy bandwidth`
      : ""),
);
for (const [name, make] of Object.entries(texts)) {
  for (const length of LENGTHS) {
    queue.writeBuffer(b.tokens, 0, make(length));
    queue.writeBuffer(b.state, 0, initialState(length, CONTEXT));
    const draft = drafters.begin({
      drafter: "tree",
      numDraft: MAX_ROWS - 1,
      maxNgram: 3,
      rowCosts: Array.from({ length: MAX_ROWS }, (_, drafts) => 1 + 0.03 * drafts),
    });
    const seconds = await fastestOnGpu(gpu, (encoder) => encode(encoder, draft));
    const [count] = new Uint32Array(await gpu.read(rows, 0, 4));
    console.log(
      `${name}, ${length} tokens: ${
        seconds === null ? "no clock" : `${(seconds * 1e6).toFixed(0)} µs`
      }, ` +
        `${count! - 1} drafts` +
        (seconds && pass ? `, ${(100 * seconds / pass).toFixed(2)}% of a pass` : ""),
    );
  }
}
