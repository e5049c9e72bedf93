import { assert, assertEquals, assertRejects } from "@std/assert";
import { shapeConfig } from "../../bench/shapes.ts";
import { loadFrom } from "../../decode/load_model.ts";
import { type BufferRegion, type DeviceInfo, Gpu } from "../../kernels/device.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { FLOAT_BYTES, type FloatType, isQuantized } from "../../kernels/weight_types.ts";
import { DittoError, loadModel, type LoadProgress } from "../../mod.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { parseConfig } from "../../model/config.ts";
import { layOutWeights, type MatrixLayout } from "../../model/layout.ts";
import { type Quantization, quantizedType } from "../../model/quantization.ts";
import { widen } from "../../model/repack.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import {
  loadWeights,
  type Matrix,
  type MatrixPart,
  type WeightSource,
  WeightUpload,
} from "../../model/weights.ts";
import { GpuSpy } from "../gpu_spy.ts";
import { e4m3, f8Row } from "../kernels/numbers.ts";
import { quantize } from "../kernels/quantization.ts";
import { type Random, seeded } from "../random.ts";
import { madeUp, SMALL } from "./made_up.ts";
import { TempDir, writeCheckpoint } from "./tiny_checkpoint.ts";

const TYPES: readonly FloatType[] = ["BF16", "F16", "F32", "F8"];
const QUANTIZATIONS: Readonly<Record<number, Quantization>> = { 6: "q8", 7: "q4" };
const rowCosts = new Array(32).fill(1);

/** A tensor of {@linkcode randomSource}. */
interface RandomTensor {
  readonly dtype: FloatType;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The tensor of its scales, and what its rows are multiplied by. */
  readonly scales?: { readonly name: string; readonly ofRow: (row: number) => number };
}

/** Tensors of random bits, infinities and NaNs among them unless they are in F8 or to be quantized. */
function randomSource(random: Random, typeOf: () => FloatType, isTame = false) {
  const config = parseConfig({
    architectures: ["MistralForCausalLM"],
    vocab_size: random.between(1, 50),
    hidden_size: 2 * random.between(1, 30),
    intermediate_size: random.between(1, 50),
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 2 * random.between(1, 8),
    tie_word_embeddings: random.chance(0.5),
    sliding_window: null,
    bos_token_id: 0,
    eos_token_id: 0,
  });
  const data = new Map<string, RandomTensor>();
  for (const { name, shape } of requiredTensors(config)) {
    const drawn = typeOf();
    const dtype = drawn === "F8" && shape.length === 1 ? "BF16" : drawn;
    let scales: RandomTensor["scales"];
    const bytes = new Uint8Array(shape.reduce((a, b) => a * b, 1) * FLOAT_BYTES[dtype]);
    bytes.forEach((_, i) => bytes[i] = random.below(256));
    if (dtype === "F8") {
      bytes.forEach((code, i) => bytes[i] = (code & 0x7f) === 0x7f ? code - 1 : code);
      const name = `scales ${data.size}`;
      const stored = random.pick(["BF16", "F16", "F32"] as const);
      const values = Float32Array.from(
        { length: random.chance(0.5) ? 1 : shape[0]! },
        () => random.pick([2 ** -13, 1, 2 ** 13]) * (1.5 + random.float(0.5)),
      );
      const narrow = stored === "F32"
        ? values
        : stored === "F16"
        ? Float16Array.from(values)
        : Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16);
      const scaleBytes = new Uint8Array(narrow.buffer);
      const wide = widen(scaleBytes, stored);
      const ofRow = (row: number) => wide[wide.length === 1 ? 0 : row]!;
      data.set(name, { dtype: stored, bytes: scaleBytes });
      scales = { name, ofRow };
    } else if (isTame) { // exponents below those of infinities and of 2^100, in any type
      for (let i = 1; i < bytes.length; i += 2) bytes[i]! &= 0xbf;
    }
    data.set(name, { dtype, bytes, ...scales && { scales } });
  }
  const source: WeightSource = {
    config,
    tensors: new Map([...data].map(([name, { dtype, bytes, scales }]) => {
      return [name, { dtype, byteLength: bytes.length, ...scales && { scales: scales.name } }];
    })),
    read(name, byteOffset, into) {
      into.set(data.get(name)!.bytes.subarray(byteOffset, byteOffset + into.length));
      return Promise.resolve();
    },
  };
  return { source, data };
}

/** What the parts of a matrix must hold: rows padded with zeros, in the checkpoint's bits, widened or packed. */
function expectedParts(
  { parts, inputs, rowBytes, type }: MatrixLayout,
  data: ReadonlyMap<string, RandomTensor>,
): Uint8Array[] {
  return parts.map(({ segments, bytes }) => {
    const part = new Uint8Array(bytes);
    let row = 0;
    for (const { tensor, row: first, rows } of segments) {
      const { dtype, bytes: all, scales } = data.get(tensor)!;
      const size = FLOAT_BYTES[dtype] * inputs;
      for (let i = 0; i < rows; i++, row++) {
        const own = all.slice((first + i) * size, (first + i + 1) * size);
        const scale = scales?.ofRow(first + i) ?? 1;
        const values = dtype === "F8"
          ? Float32Array.from(own, (code) => e4m3(code) * scale)
          : widen(own, dtype);
        const kept = dtype === "F8" ? f8Row([...own], scale) : own;
        const stored = dtype === type
          ? kept
          : isQuantized(type)
          ? quantize(values, inputs, type)
          : values;
        part.set(new Uint8Array(stored.buffer), row * rowBytes);
      }
    }
    return part;
  });
}

async function assertMatrix(
  gpu: Gpu,
  matrix: Matrix<BufferRegion>,
  parts: Uint8Array[],
): Promise<void> {
  assertEquals(matrix.parts.length, parts.length);
  for (const [i, part] of parts.entries()) {
    const { buffer, offset, size } = matrix.parts[i]!.weights;
    const found = new Uint8Array(await gpu.read(buffer, offset, size));
    assertEquals(found, part);
  }
}

Deno.test(
  "loadWeights() keeps the checkpoint's bits, widens tensors of one matrix that differ, or quantizes",
  seeded(async (random) => {
    using gpu = await openGpu();
    for (let run = 0; run < 8; run++) {
      const quantization = QUANTIZATIONS[run] ?? null;
      const { source, data } = randomSource(
        random,
        run < 4 ? () => TYPES[run]! : () => random.pick(TYPES),
        quantization !== null,
      );
      const typeOf = (tensor: string) =>
        quantizedType(tensor, quantization) ?? data.get(tensor)!.dtype;
      const layout = layOutWeights(source.config, typeOf, random.pick([600, 1000, 1 << 20]));
      const weights = await loadWeights(gpu, source, layout);
      const check = (matrix: Matrix<BufferRegion>, of: MatrixLayout) =>
        assertMatrix(gpu, matrix, expectedParts(of, data));
      await Promise.all([
        check(weights.embedding, layout.embedding),
        check(weights.head, layout.head),
        ...weights.layers.flatMap((layer, i) => {
          const of = layout.layers[i]!;
          return [
            check(layer.qkv, of.qkv),
            check(layer.out, of.out),
            check(layer.gateUp, of.gateUp),
            check(layer.down, of.down),
          ];
        }),
      ]);
      const { dtype, bytes } = data.get("model.norm.weight")!;
      const gain = new Uint8Array(await gpu.read(weights.norm));
      const values = new Uint8Array(widen(bytes, dtype).buffer);
      assertEquals(gain.subarray(0, values.length), values);
      assert(gain.subarray(values.length).every((byte) => byte === 0));
    }
  }),
);

Deno.test("quantizing leaves nothing on the GPU but the weights", async () => {
  const source = madeUp({
    vocab_size: 20, // so that larger matrices come after the embedding
    hidden_size: 40,
    intermediate_size: 60,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  }, "BF16");
  using spy = new GpuSpy();
  using gpu = await openGpu();
  const typeOf = (tensor: string) => quantizedType(tensor, "q4") ?? "BF16";
  const upload = new WeightUpload(gpu, source, layOutWeights(source.config, typeOf, 1 << 20));
  const before = [...spy.aliveBuffers];
  await upload.run();
  assertEquals([...spy.aliveBuffers].map(labelOf), before.map(labelOf));
});

function labelOf({ label }: GPUBuffer): string {
  return label;
}

Deno.test("widen() is exact for every value of 16 bits", () => {
  const all = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);
  const bytes = new Uint8Array(all.buffer);
  const halves = new Float16Array(all.buffer);
  assertEquals(widen(bytes, "F16"), Float32Array.from(halves));
  const bits = new Uint32Array(widen(bytes, "BF16").buffer);
  assert(bits.every((word, i) => word === i * 0x10000));
});

/**
 * A vocabulary whose embedding does not go to the GPU at once, of 17.9 MB in F32; its rows are more than a dispatch
 * quantizes.
 */
const LONG = 70_000;

Deno.test("a matrix of more rows than go to the GPU at once lies there to its last row", async () => {
  const hidden = 64;
  const name = "model.embed_tokens.weight";
  using gpu = await openGpu();
  for (const dtype of ["F32", "F8"] as const) {
    const source = madeUp({
      vocab_size: LONG,
      hidden_size: hidden,
      intermediate_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      tie_word_embeddings: true,
    }, dtype);
    const { scales } = source.tensors.get(name)!;
    for (const type of [dtype, "Q8"] as const) {
      const layout = layOutWeights(source.config, () => type, 1 << 26);
      const { embedding } = await loadWeights(gpu, source, layout);
      const { rowBytes } = layout.embedding;
      const [{ weights }] = embedding.parts as [MatrixPart<BufferRegion>];
      const found = new Uint8Array(await gpu.read(weights.buffer, weights.offset, weights.size));
      for (const row of [0, 1, 65_533, 65_534, 65_535, 65_536, 65_537, LONG - 1]) {
        const own = new Uint8Array(hidden * FLOAT_BYTES[dtype]);
        await source.read(name, own.length * row, own);
        const scale = new Float32Array(1);
        if (scales) await source.read(scales, 4 * row, new Uint8Array(scale.buffer));
        const values = scales
          ? Float32Array.from(own, (code) => e4m3(code) * scale[0]!)
          : new Float32Array(own.buffer);
        const stored = type === "Q8"
          ? quantize(values, hidden, type)
          : scales
          ? f8Row([...own], scale[0]!)
          : values;
        assertEquals(
          found.subarray(row * rowBytes, (row + 1) * rowBytes),
          new Uint8Array(stored.buffer),
          `row ${row} of ${dtype} in ${type}`,
        );
      }
    }
  }
});

/** A GPU that stores nothing, takes its time, and counts what is under way. */
function countingGpu(onWrite: () => void) {
  const { promise: never } = Promise.withResolvers<never>();
  const ends = new Map<unknown, number>(); // of what was written to each buffer
  const count = { underWay: 0, most: 0, written: 0 };
  const left: number[] = []; // bytes that were still under way whenever something had arrived
  let writtenBytes = 0; // since the last submission
  let submittedBytes = 0; // since a promise was asked for
  const queue = {
    writeBuffer(buffer: unknown, offset: number, data: ArrayBufferView) {
      if (data instanceof Uint32Array) return; // a uniform
      onWrite();
      // Its rows are whole regions, so that these lie side by side.
      assertEquals(
        offset,
        ends.get(buffer) ?? 0,
        "a piece does not begin where the last one ended",
      );
      ends.set(buffer, offset + data.byteLength);
      count.written += data.byteLength;
      writtenBytes += data.byteLength;
      count.underWay += data.byteLength;
      count.most = Math.max(count.most, count.underWay);
    },
    submit() {
      submittedBytes += writtenBytes;
      writtenBytes = 0;
    },
    async onSubmittedWorkDone() {
      const bytes = submittedBytes;
      submittedBytes = 0;
      await new Promise((resolve) => setTimeout(resolve));
      count.underWay -= bytes;
      left.push(count.underWay);
    },
  };
  const device = { queue, lost: never, addEventListener() {}, createBuffer: () => ({}) };
  return { count, left, gpu: new Gpu(device as unknown as GPUDevice, {} as DeviceInfo) };
}

Deno.test("Mistral-7B streams in chunks of 16 MiB, of which about 200 MiB at most are under way", async () => {
  const config = shapeConfig("mistral-7b");
  const tensors = new Map(
    requiredTensors(config).map(({ name, shape }) => {
      return [name, { dtype: "BF16" as const, byteLength: 2 * shape.reduce((a, b) => a * b, 1) }];
    }),
  );
  const read = new Map<string, number>();
  const ahead: number[] = []; // reads that were begun when each piece was handed over
  let begun = 0;
  const source: WeightSource = {
    config,
    tensors,
    read(name, byteOffset, into) {
      begun++;
      assert(into.length <= 16 << 20, `${into.length} bytes at once`);
      assert(byteOffset + into.length <= tensors.get(name)!.byteLength);
      const before = read.get(name) ?? 0;
      assertEquals(byteOffset, before, `${name}: a piece does not begin where the last one ended`);
      read.set(name, before + into.length);
      return Promise.resolve();
    },
  };
  const progress: LoadProgress[] = [];
  const { count, left, gpu } = countingGpu(() => ahead.push(begun));
  const layout = layOutWeights(config, () => "BF16", 128 << 20);
  await loadWeights(gpu, source, layout, (now) => progress.push(now));

  for (const [name, { byteLength }] of tensors) assertEquals(read.get(name), byteLength);
  // While a piece is handed over, the next one is being read, and no other.
  assertEquals(ahead, Array.from({ length: begun }, (_, i) => Math.min(i + 2, begun)));
  // Two parts of 64 MiB whose arrival was asked for, and nearly a third; each with the chunk that made it so many.
  assert(count.most < 200 << 20, `${count.most} bytes were under way`);
  // The GPU always has something to do until the end.
  assert(left.findIndex((bytes) => bytes < 1 << 20) >= left.length - 2, `${left}`);
  assertEquals(count.underWay, 0);
  const gains = 65 * 4096;
  assertEquals(count.written, 2 * (7_241_732_096 - gains) + 4 * gains);
  const { totalBytes } = progress[0]!;
  assertEquals(totalBytes, 2 * (7_241_732_096 - gains));
  assertEquals(progress.at(-1), { loadedBytes: totalBytes, totalBytes });
  const grows = progress.every((now, i) =>
    i === 0 || now.loadedBytes > progress[i - 1]!.loadedBytes
  );
  assert(grows && progress.every((now) => now.totalBytes === totalBytes));
});

Deno.test("a load that fails anywhere leaves nothing on the GPU", async () => {
  const source = madeUp({ ...SMALL, vocab_size: 50, num_hidden_layers: 2 }, "BF16");
  for (const failing of ["model.embed_tokens", "model.layers.1.mlp.up_proj", "model.norm"]) {
    using spy = new GpuSpy();
    const broken: WeightSource = {
      ...source,
      read(name, byteOffset, into) {
        if (name !== `${failing}.weight`) return source.read(name, byteOffset, into);
        return Promise.reject(new DittoError(`${name} cannot be read.`));
      },
    };
    const load = () => loadFrom(broken, null, { context: 20, rowCosts });
    await assertRejects(load, DittoError, `${failing}.weight cannot be read.`);
    assert(failing === "model.embed_tokens" || spy.buffers.length > 5);
    assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
  }
  using spy = new GpuSpy();
  const onProgress = () => {
    throw new RangeError("stop");
  };
  await assertRejects(
    () => loadFrom(source, null, { context: 20, rowCosts, onProgress }),
    RangeError,
  );
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);
});

Deno.test("a device without memory for a model is refused before a weight is read", async () => {
  const made = madeUp({
    vocab_size: 50,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  }, "BF16");
  let reads = 0;
  const source: WeightSource = {
    ...made,
    read(name, byteOffset, into) {
      reads++;
      return made.read(name, byteOffset, into);
    },
  };
  const load = async () => {
    using model = await loadFrom(source, null, { context: 20, rowCosts });
    return model.memory;
  };
  const { weights, total } = await load();
  assert(reads > 0);
  reads = 0;
  // Too little for a part of the weights, for all of them (with what textures need more), and for what comes after them.
  for (const memoryBytes of [1000, weights - 1, weights + 10_000, total - 1]) {
    using spy = new GpuSpy(memoryBytes);
    const { message } = await assertRejects(load, DittoError);
    assert(
      /ran out of memory: the model needs .+ at a context of 20 tokens\. Ask for/.test(message),
      message,
    );
    assertEquals([reads, spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0, 0]);
  }
});

Deno.test("a file that shrinks while it is loaded ends the load with a sentence", async () => {
  await using dir = new TempDir();
  await writeCheckpoint(dir);
  const file = `${dir.path}/model.safetensors`;
  using checkpoint = await openCheckpoint(dir.path);
  const { size } = await Deno.stat(file);
  await Deno.truncate(file, size - 10);
  using spy = new GpuSpy();
  await assertRejects(
    () => loadFrom(checkpoint, null, { context: 20, rowCosts }),
    DittoError,
    `it had ${size} when it was opened`,
  );
  assertEquals([spy.aliveBuffers.size, spy.aliveDevices.size], [0, 0]);

  // Opened like that, it is refused before a device is asked for.
  await assertRejects(() => loadModel(dir.path), DittoError, "model.safetensors");
});
