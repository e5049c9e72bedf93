import { parseConfig } from "../../model/config.ts";
import { requiredTensors } from "../../model/required_tensors.ts";

/** A `config.json` of the smallest sensible model: grouped-query attention, two layers. */
export const TINY_CONFIG = {
  architectures: ["MistralForCausalLM"],
  model_type: "mistral",
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 16,
  max_position_embeddings: 64,
  sliding_window: null as number | null,
};

/** A tensor to write. */
export interface TinyTensor {
  name: string;
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

/** The tensors that a `config.json` asks for, in bf16, every byte different from its neighbours. */
export function tinyTensors(config: unknown = TINY_CONFIG): TinyTensor[] {
  return requiredTensors(parseConfig(config)).map(({ name, shape }, index) => {
    const data = new Uint8Array(2 * shape.reduce((a, b) => a * b, 1));
    data.forEach((_, i) => data[i] = 31 * index + 7 * i);
    return { name, dtype: "BF16", shape: [...shape], data };
  });
}

/** The bytes of a safetensors file with any text as its header. */
export function withHeader(header: string | Uint8Array, data = new Uint8Array(0)): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** The bytes of a proper safetensors file. */
export function safetensorsFile(tensors: readonly TinyTensor[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end += data.length] };
  }
  const data = new Uint8Array(end);
  end = 0;
  for (const tensor of tensors) data.set(tensor.data, end), end += tensor.data.length;
  return withHeader(JSON.stringify(header), data);
}

/** A directory of files that is removed when it is disposed of. */
export class TempDir implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "ditto_test_" });

  /** Writes files; what is neither a string nor bytes becomes JSON. */
  async write(files: Record<string, unknown>): Promise<this> {
    for (const [name, content] of Object.entries(files)) {
      const text = typeof content === "string" ? content : JSON.stringify(content);
      const bytes = content instanceof Uint8Array ? content : new TextEncoder().encode(text);
      await Deno.writeFile(`${this.path}/${name}`, bytes);
    }
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** The files in a directory that this process has open; none where the system does not tell. */
export function openFiles(directory: string): string[] {
  const descriptors = "/proc/self/fd";
  try {
    return Array.from(Deno.readDirSync(descriptors), ({ name }) => target(`${descriptors}/${name}`))
      .filter((path) => path.startsWith(directory));
  } catch {
    return [];
  }
}

/** What a link points to; nothing once another test's file behind it has been closed. */
function target(link: string): string {
  try {
    return Deno.readLinkSync(link);
  } catch {
    return "";
  }
}

/** Writes a checkpoint of one file. */
export function writeCheckpoint(
  dir: TempDir,
  config: unknown = TINY_CONFIG,
  tensors = tinyTensors(config),
): Promise<TempDir> {
  return dir.write({ "config.json": config, "model.safetensors": safetensorsFile(tensors) });
}

/** Splits tensors over files and says so in an index. */
export function shardFiles(tensors: readonly TinyTensor[], count: number): Record<string, unknown> {
  const files: Record<string, unknown> = {};
  const weight_map: Record<string, string> = {};
  for (let shard = 0; shard < count; shard++) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file = `model-${number(shard + 1)}-of-${number(count)}.safetensors`;
    const part = tensors.filter((_, i) => i % count === shard);
    for (const { name } of part) weight_map[name] = file;
    files[file] = safetensorsFile(part);
  }
  files["model.safetensors.index.json"] = { metadata: { total_size: 1 }, weight_map };
  return files;
}
