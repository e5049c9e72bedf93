import { assert, assertEquals } from "@std/assert";
import { rowBytes, type WeightType } from "../../kernels/weight_types.ts";
import { parseConfig } from "../../model/config.ts";
import { layOutWeights, type MatrixLayout } from "../../model/layout.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import { type Random, seeded } from "../random.ts";

/** A model of any shape that Ditto takes. */
function anyConfig(random: Random) {
  const groups = random.between(1, 4);
  return parseConfig({
    architectures: ["MistralForCausalLM"],
    vocab_size: random.between(1, 300),
    hidden_size: 2 * random.between(1, 40),
    intermediate_size: random.between(1, 90),
    num_hidden_layers: random.between(1, 3),
    num_attention_heads: groups * random.between(1, 4),
    num_key_value_heads: groups,
    head_dim: 2 * random.between(1, 10),
    tie_word_embeddings: random.chance(0.3),
    sliding_window: null,
    bos_token_id: 0,
    eos_token_id: 0,
  });
}

/** A matrix's rows as they lie in its parts. */
function rowsOf(part: MatrixLayout["parts"][number]): string[] {
  return part.segments.flatMap(({ tensor, row, rows }) =>
    Array.from({ length: rows }, (_, i) => `${tensor} ${row + i}`)
  );
}

Deno.test(
  "layOutWeights() puts every row of every matrix in one place, whatever the limit",
  seeded((random) => {
    for (let run = 0; run < 300; run++) {
      const config = anyConfig(random);
      const types = new Map<string, WeightType>();
      const oneType = random.chance(0.5)
        ? random.pick<WeightType>(["BF16", "F16", "F32", "F8", "Q8", "Q4"])
        : null;
      const required = requiredTensors(config);
      for (const { name } of required) {
        types.set(name, oneType ?? random.pick<WeightType>(["BF16", "F16", "F32", "F8"]));
      }
      const limit = random.pick([16, 100, 1000, 5000, 20_000, 128 << 20]) + random.below(16);
      const layout = layOutWeights(config, (tensor) => types.get(tensor)!, limit);
      const matrices = [
        layout.embedding,
        layout.head,
        ...layout.layers.flatMap((layer) => {
          return [layer.qkv, layer.out, layer.gateUp, layer.down];
        }),
      ];

      const placed = [...new Set(matrices)].flatMap(({ parts }) => parts.flatMap(rowsOf)).sort();
      const wanted = required.filter(({ shape }) => shape.length === 2).flatMap((tensor) =>
        Array.from({ length: tensor.shape[0]! }, (_, i) => `${tensor.name} ${i}`)
      ).sort();
      assertEquals(placed, wanted);
      assertEquals(layout.head === layout.embedding, config.tieWordEmbeddings);

      const inputs = new Map(required.map(({ name, shape }) => [name, shape[1]]));
      for (const matrix of matrices) {
        checkParts(matrix, limit);
        const tensors = matrix.parts.flatMap(({ segments }) => segments.map((s) => s.tensor));
        const found = new Set(tensors.map((tensor) => types.get(tensor)));
        assertEquals(matrix.type, found.size === 1 ? [...found][0] : "F32");
        assert(tensors.every((tensor) => inputs.get(tensor) === matrix.inputs));
      }
      for (const { qkv, gateUp } of layout.layers) {
        checkHeads(qkv, config.headDim);
        checkGates(gateUp);
      }
    }
  }),
);

/** Parts follow one another, hold whole units (of single rows: whole fours), and are as large as the limit allows. */
function checkParts(matrix: MatrixLayout, limit: number): void {
  const { parts, rowsPerUnit, inputs, k8, type } = matrix;
  const step = rowsPerUnit === 1 ? 4 : 1;
  assertEquals(k8, Math.ceil(inputs / 8));
  const unitBytes = rowsPerUnit * rowBytes(type, inputs);
  let next = 0;
  for (const [i, part] of parts.entries()) {
    assertEquals(part.first, next);
    next += part.units;
    assert(part.units > 0);
    assertEquals(rowsOf(part).length, part.units * rowsPerUnit);
    assertEquals(part.bytes, part.units * unitBytes);
    assertEquals(part.bytes % 16, 0);
    assert(part.bytes <= limit || part.units <= step, "a part that could be cut is too large");
    const isLast = i === parts.length - 1;
    assert(isLast || part.units % step === 0, "a part ends within four rows");
    assert(isLast || part.bytes + step * unitBytes > limit, "a part is smaller than it could be");
  }
}

/** q, k and v below each other in whole heads. */
function checkHeads({ parts, rowsPerUnit, countPerUnit }: MatrixLayout, headDim: number): void {
  assertEquals([rowsPerUnit, countPerUnit], [headDim, headDim / 2]);
  const rows = parts.flatMap(rowsOf);
  const order = rows.map((row) => "qkv".indexOf(/([qkv])_proj/.exec(row)![1]!));
  assertEquals(order, order.toSorted());
  for (const which of ["q_proj", "k_proj", "v_proj"]) {
    const places = rows.filter((row) => row.includes(which)).map((row) =>
      Number(row.split(" ")[1])
    );
    assertEquals(places, places.map((_, i) => i));
  }
}

/** In each part some rows of gate, then the same rows of up. */
function checkGates({ parts, rowsPerUnit, countPerUnit }: MatrixLayout): void {
  assertEquals([rowsPerUnit, countPerUnit], [2, 1]);
  for (const part of parts) {
    const rows = rowsOf(part);
    const gate = rows.slice(0, part.units);
    assert(gate[0]!.endsWith(`gate_proj.weight ${part.first}`));
    assertEquals(rows.slice(part.units), gate.map((row) => row.replace("gate_proj", "up_proj")));
  }
}

Deno.test("layOutWeights() makes no part of more quads than a dispatch has workgroups", () => {
  const config = parseConfig({
    architectures: ["MistralForCausalLM"],
    vocab_size: 300_000,
    hidden_size: 8,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    intermediate_size: 500_000,
  });
  const layout = layOutWeights(config, () => "BF16", 2 ** 31);
  const rows = ({ parts, rowsPerUnit }: MatrixLayout) =>
    parts.map((part) => part.units * rowsPerUnit);
  assertEquals(rows(layout.head), [262_140, 37_860]);
  assertEquals(rows(layout.layers[0]!.gateUp), [262_140, 262_140, 262_140, 213_580]);
});
