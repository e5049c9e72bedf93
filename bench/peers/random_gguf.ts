/**
 * Writes a model's real shape with made-up weights as a GGUF file, which llama.cpp reads
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * @module
 */
import type { MistralConfig } from "../../model/config.ts";
import { requiredTensors } from "../../model/required_tensors.ts";
import { randomWeights } from "../random_weights.ts";

const ALIGNMENT = 32;
const CHUNK_BYTES = 16 << 20;
/** Types of values and of tensors in GGUF. */
const [U32, I32, F32, STRING, ARRAY] = [4, 5, 6, 8, 9];
const [TENSOR_F32, TENSOR_BF16] = [0, 30];
/** Types of tokens: what is no byte, control or unknown token is a normal one. */
const [NORMAL, UNKNOWN, CONTROL, BYTE] = [1, 2, 3, 6];

/** llama.cpp's names of the tensors of a layer. */
const LAYER_NAMES: Record<string, string> = {
  "input_layernorm": "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "post_attention_layernorm": "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

/** Writes the file: matrices in bf16, gains in f32 as llama.cpp wants them, a vocabulary of made-up tokens. */
export async function writeRandomGguf(config: MistralConfig, path: string): Promise<void> {
  const source = randomWeights(config);
  const tensors = requiredTensors(config).map(({ name, shape }) => {
    const bytes = source.tensors.get(name)!.byteLength;
    return {
      name,
      shape,
      isGain: shape.length === 1,
      bytes: shape.length === 1 ? 2 * bytes : bytes,
    };
  });
  const head = new Writer();
  head.bytes(new TextEncoder().encode("GGUF"));
  head.u32(3);
  head.u64(tensors.length);
  const fields = metadata(config);
  head.u64(fields.length);
  for (const field of fields) field(head);
  let offset = 0;
  for (const { name, shape, isGain, bytes } of tensors) {
    head.string(ggufName(name));
    head.u32(shape.length);
    for (const size of shape.toReversed()) head.u64(size);
    head.u32(isGain ? TENSOR_F32 : TENSOR_BF16);
    head.u64(offset);
    offset += padded(bytes);
  }

  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  };
  await write(head.take());
  for (const { name, isGain, bytes } of tensors) {
    if (isGain) {
      await write(new Uint8Array(new Float32Array(bytes / 4).fill(1).buffer));
    } else {
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, bytes));
      for (let at = 0; at < bytes; at += chunk.length) {
        const piece = chunk.subarray(0, Math.min(chunk.length, bytes - at));
        await source.read(name, at, piece);
        await write(piece);
      }
    }
    await write(new Uint8Array(padded(bytes) - bytes));
  }
}

function ggufName(name: string): string {
  const [, layer, rest] = name.match(/^model\.layers\.(\d+)\.(.*)\.weight$/) ?? [];
  if (layer) return `blk.${layer}.${LAYER_NAMES[rest!]}.weight`;
  if (name === "model.embed_tokens.weight") return "token_embd.weight";
  return name === "model.norm.weight" ? "output_norm.weight" : "output.weight";
}

/** What writes each of the metadata's fields. */
function metadata(config: MistralConfig): ((to: Writer) => void)[] {
  const vocab = Array.from({ length: config.vocabSize }, (_, id) => {
    if (id < 3) return { text: ["<unk>", "<s>", "</s>"][id]!, type: id === 0 ? UNKNOWN : CONTROL };
    if (id >= 259) return { text: `token${id}`, type: NORMAL };
    const byte = (id - 3).toString(16).toUpperCase().padStart(2, "0");
    return { text: `<0x${byte}>`, type: BYTE };
  });
  const string = (key: string, value: string) => (to: Writer) => {
    to.string(key), to.u32(STRING), to.string(value);
  };
  const u32 = (key: string, value: number) => (to: Writer) => {
    to.string(key), to.u32(U32), to.u32(value);
  };
  const f32 = (key: string, value: number) => (to: Writer) => {
    to.string(key), to.u32(F32), to.f32(value);
  };
  const array =
    (key: string, type: number, write: (to: Writer, id: number) => void) => (to: Writer) => {
      to.string(key), to.u32(ARRAY), to.u32(type), to.u64(vocab.length);
      for (const id of vocab.keys()) write(to, id);
    };
  return [
    string("general.architecture", "llama"),
    string("general.name", "made-up weights"),
    u32("general.alignment", ALIGNMENT),
    u32("llama.context_length", config.maxPositionEmbeddings),
    u32("llama.embedding_length", config.hiddenSize),
    u32("llama.block_count", config.numHiddenLayers),
    u32("llama.feed_forward_length", config.intermediateSize),
    u32("llama.attention.head_count", config.numAttentionHeads),
    u32("llama.attention.head_count_kv", config.numKeyValueHeads),
    u32("llama.attention.key_length", config.headDim),
    u32("llama.attention.value_length", config.headDim),
    u32("llama.rope.dimension_count", config.headDim),
    u32("llama.vocab_size", config.vocabSize),
    f32("llama.attention.layer_norm_rms_epsilon", config.rmsNormEps),
    f32("llama.rope.freq_base", config.ropeTheta),
    string("tokenizer.ggml.model", "llama"),
    array("tokenizer.ggml.tokens", STRING, (to, id) => to.string(vocab[id]!.text)),
    array("tokenizer.ggml.scores", F32, (to, id) => to.f32(-id)),
    array("tokenizer.ggml.token_type", I32, (to, id) => to.u32(vocab[id]!.type)),
    u32("tokenizer.ggml.bos_token_id", 1),
    u32("tokenizer.ggml.eos_token_id", 2),
  ];
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Bytes in GGUF's order, little-endian, as many as come. */
class Writer {
  #view = new DataView(new ArrayBuffer(1 << 16));
  #length = 0;

  bytes(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  f32(value: number): void {
    const at = this.#grow(4);
    this.#view.setFloat32(at, value, true);
  }

  string(value: string): void {
    const bytes = new TextEncoder().encode(value);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  /** Everything, padded to where the tensors' data begin. */
  take(): Uint8Array {
    this.#grow(padded(this.#length) - this.#length);
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  #grow(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#view.byteLength) {
      const larger = new ArrayBuffer(2 * this.#length);
      new Uint8Array(larger).set(new Uint8Array(this.#view.buffer));
      this.#view = new DataView(larger);
    }
    return at;
  }
}
