import { assert, assertEquals } from "@std/assert";
import { chain, rowWords } from "../../decode/rows.ts";
import { Compiler, submit } from "../../kernels/compiler.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights } from "../../model/layout.ts";
import { dimensions } from "../../model/memory.ts";
import { quantizedType } from "../../model/quantization.ts";
import { copyToTextures, maxPartBytes, moveToTextures } from "../../model/weight_textures.ts";
import { loadWeights, type Weights } from "../../model/weights.ts";
import { GpuSpy } from "../gpu_spy.ts";
import { assertSameBits } from "../kernels/harness.ts";
import { seeded } from "../random.ts";
import { madeUp, SMALL } from "./made_up.ts";

const MODELS = [
  ["BF16", null, { tie_word_embeddings: true }],
  ["F32", "q4", { tie_word_embeddings: false, num_hidden_layers: 2 }],
] as const;

for (const [dtype, quantization, fields] of MODELS) {
  Deno.test(
    `from textures a pass has the bits that it has from buffers (${quantization ?? dtype})`,
    seeded(async (random) => {
      using gpu = await openGpu();
      const vocab = 3001; // some matrices have less than a row of a texture, and the head more
      const source = madeUp({ ...SMALL, ...fields, vocab_size: vocab }, dtype);
      const { config, tensors } = source;
      const layout = layOutWeights(
        config,
        (tensor) => quantizedType(tensor, quantization) ?? tensors.get(tensor)!.dtype,
        random.pick([600, 40_000, 1 << 27]),
      );
      using spy = new GpuSpy();
      const inBuffers = await loadWeights(gpu, source, layout);
      const buffers = [...spy.aliveBuffers].filter(({ label }) => label === "weights");
      assert(buffers.length > 0);
      const tokens = Array.from({ length: 5 }, () => random.below(vocab));
      const compiler = new Compiler(gpu);
      const logits = async (weights: Weights) => {
        const d = dimensions(config, 64, "f32");
        using forward = new Forward(gpu, compiler, config, weights, d);
        await forward.prefill(tokens, 0);
        const words = rowWords(chain(tokens[0]!, tokens.slice(1)), tokens.length);
        gpu.device.queue.writeBuffer(forward.rows, 0, words);
        submit(gpu.device, forward.dispatches(MAX_ROWS, 64));
        return new Float32Array(await gpu.read(forward.logits, 0, tokens.length * vocab * 4));
      };
      const expected = await logits(inBuffers);
      assert(expected.every(Number.isFinite) && new Set(expected).size > vocab / 2);
      const head = copyToTextures(gpu, inBuffers.head);
      assert(buffers.every((buffer) => spy.aliveBuffers.has(buffer)));
      const mixed = { ...inBuffers, head };
      assertSameBits("the head from textures", await logits(mixed), expected, vocab);
      const moved = moveToTextures(gpu, inBuffers);
      assertEquals(moved.head === moved.embedding, config.tieWordEmbeddings);
      assert(buffers.every((buffer) => !spy.aliveBuffers.has(buffer)));
      assertSameBits("all from textures", await logits(moved), expected, vocab);
    }),
  );
}

Deno.test("a part of a matrix is no larger than a texture where it may come to one", async () => {
  using gpu = await openGpu();
  const roomy = { ...gpu.info, maxBindingBytes: 2 ** 31 - 256, maxBufferBytes: 2 ** 31 - 256 };
  const part = (lanes: number, isSoftware: boolean) =>
    maxPartBytes({ ...roomy, subgroupSize: lanes, subgroupVaries: false, isSoftware });
  assertEquals(part(32, false), 2 ** 31 - 256);
  assertEquals(part(8, true), 2 ** 27);
  assertEquals(maxPartBytes({ ...roomy, maxBindingBytes: 1e6 }), 1e6);
  const { maxTextureDimension2D } = gpu.device.limits;
  assert(part(8, true) <= maxTextureDimension2D * 1024 * 16, `${maxTextureDimension2D} rows`);
});
