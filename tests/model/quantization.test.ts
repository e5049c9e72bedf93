/** What is quantized, and that Mistral-7B then fits where it should. */
import { assert, assertEquals } from "@std/assert";
import { shapeConfig } from "../../bench/shapes.ts";
import { generationBuffers } from "../../decode/state.ts";
import type { FloatType } from "../../kernels/weight_types.ts";
import { layOutWeights } from "../../model/layout.ts";
import { checkMemory, dimensions, promptChunk } from "../../model/memory.ts";
import { type Quantization, quantizedType } from "../../model/quantization.ts";
import { requiredTensors } from "../../model/required_tensors.ts";

Deno.test("quantizedType() takes matrices and leaves norms", () => {
  for (const { name, shape } of requiredTensors(shapeConfig("mistral-7b", 2))) {
    const isRobust = /(o|gate|up|down)_proj/.test(name);
    const isMatrix = shape.length === 2;
    assertEquals(quantizedType(name, null), null);
    assertEquals(quantizedType(name, "q8"), isMatrix ? "Q8" : null, name);
    assertEquals(quantizedType(name, "q4"), isMatrix ? isRobust ? "Q4" : "Q8" : null, name);
  }
  assertEquals(quantizedType("model.layers.0.self_attn.rotary_emb.inv_freq", "q4"), null);
  assertEquals(quantizedType("value_head.weight", "q8"), null);
});

Deno.test("Mistral-7B with a context of 4096 fits in 8 GiB in fp8 and q8 and in 6 GB in q4", () => {
  const config = shapeConfig("mistral-7b");
  const gpu = {
    name: "a GPU",
    isSoftware: false,
    subgroupSize: 32,
    subgroupVaries: false,
    hasF16: true,
    convertsF16: true,
    maxBindingBytes: 2 ** 31 - 4,
    maxBufferBytes: 2 ** 31,
  };
  const others = (context: number) => generationBuffers(config.vocabSize, context);
  const need = (quantization: Quantization | null, projections: FloatType = "BF16") => {
    const typeOf = (tensor: string) =>
      quantizedType(tensor, quantization) ?? (tensor.includes("_proj") ? projections : "BF16");
    const layout = layOutWeights(config, typeOf, gpu.maxBindingBytes);
    const d = dimensions(config, 4096, "f16", "f16", promptChunk(gpu));
    return checkMemory(config, layout, d, gpu, others);
  };
  const [bf16, fp8, q8, q4] = [need(null), need(null, "F8"), need("q8"), need("q4")];
  const sizes = [bf16, fp8, q8, q4].map(({ total }) => (total / 1e9).toFixed(2));
  console.log(`Mistral-7B in bf16, fp8, q8, q4: ${sizes.join(", ")} GB`);
  assert(fp8.total < 8 * 2 ** 30);
  assert(q8.total < 8 * 2 ** 30);
  assert(q4.total < 6e9);
  assert(bf16.weights / q8.weights > 1.85);
  assert(bf16.weights / q4.weights > 3.1);
});
