/**
 * The engine's kernels in the real shapes, each against what this device can do: products and attention of a
 * decoding pass as bytes a second of its copy bandwidth, products of a prompt as multiply-adds a second of its
 * rate. A table of these fractions, by the GPU's clock, comes first; then Deno's own times, which hold the
 * way to the GPU and back.
 *
 *     deno bench -A bench/kernels.bench.ts
 *
 * @module
 */
import { openGpu } from "../kernels/open_gpu.ts";
import type { PromptPrecision } from "../model/memory.ts";
import { copyBandwidth, transferBandwidth } from "./copy_bandwidth.ts";
import { fastestOnGpu } from "./gpu_clock.ts";
import { ModelOnGpu, type StageWork } from "./kernels/model_on_gpu.ts";
import { multiplyAddRate } from "./multiply_add_rate.ts";
import { shapeConfig } from "./shapes.ts";

const ROWS = [1, 2, 4, 8, 16, 32];
const PRECISIONS = ["f32", "f16"] as const;

const gpu = await openGpu();
const { isSoftware, name } = gpu.info;
// Enough layers that no weights stay in a GPU's cache from one layer to the same stage of the next.
const [shape, layers] = isSoftware ? ["mistral-7b-quarter", 2] : ["mistral-7b", 6];
const lengths = isSoftware ? [512, 2048] : [1024, 16384];
const promptLength = isSoftware ? 64 : 1024;
const [bandwidth, rate] = [await copyBandwidth(gpu), await multiplyAddRate(gpu)];
const model = await ModelOnGpu.load(gpu, shapeConfig(shape, layers), lengths.at(-1)!);
const runs = isSoftware ? 3 : 20;

const say = (text: string) => console.error(text);
say(`${shape}, bf16, on ${name}${isSoftware ? " (the CPU plays the device)" : ""}`);
if (!bandwidth || !rate) {
  say("The device has no clock: no fractions, Deno's times only.");
} else {
  say(`copies ${giga(bandwidth)} GB/s, does ${giga(rate)} billion multiply-adds of f32 a second`);
  say(
    `(its driver's own copies, which look at no bounds: ${
      giga(await transferBandwidth(gpu))
    } GB/s)`,
  );
  await decodeTable(bandwidth);
  for (const precision of PRECISIONS) await promptTable(rate, precision);
}
await registerBenches();

/** Products at the first length; attention at each of them. */
async function decodeTable(bandwidth: number): Promise<void> {
  const seconds = new Map<string, number[]>();
  const bytes = new Map<string, number>();
  for (const rows of ROWS) {
    for (const [i, length] of lengths.entries()) {
      for (const work of await model.decode(rows, length)) {
        if (work.name === "attention") bytes.set(key(work, length), keyValueBytes(length));
        else if (i > 0 || !isProduct(work)) continue;
        else bytes.set(work.name, work.weightBytes / work.layers);
        const time = await fastestOnGpu(gpu, work.encode, runs) ?? NaN;
        const of = key(work, length);
        seconds.set(of, [...seconds.get(of) ?? [], time / work.layers]);
      }
    }
  }
  const head = ["decoding, one layer", "MB", "µs", "GB/s", "of copy"];
  const costs = ROWS.slice(1).map((rows) => `${rows} rows`);
  print([
    [...head, ...costs],
    ...[...seconds].map(([name, times]) => {
      const read = bytes.get(name)!;
      return [
        name,
        (read / 1e6).toFixed(1),
        (times[0]! * 1e6).toFixed(0),
        giga(read / times[0]!),
        percent(read / times[0]! / bandwidth),
        ...times.slice(1).map((time) => `× ${(time / times[0]!).toFixed(2)}`),
      ];
    }),
  ]);
}

/** Products and attention of a prompt's last chunk. */
async function promptTable(rate: number, precision: PromptPrecision): Promise<void> {
  const prompt = await model.prompt(promptLength, precision);
  if (!prompt) return say("The device does not compute in f16.");
  const { stages, tokens } = prompt;
  const rows: string[][] = [];
  for (const work of stages) {
    const time = (await fastestOnGpu(gpu, work.encode, runs) ?? NaN) / work.layers;
    const multiplyAdds = tokens * model.weights(work.name);
    rows.push([
      work.name,
      (time * 1e6).toFixed(0),
      ...(multiplyAdds > 0 ? [giga(multiplyAdds / time), percent(multiplyAdds / time / rate)] : []),
    ]);
  }
  const chunk = `prompt in ${precision}, ${tokens} tokens up to ${promptLength}, one layer`;
  print([[chunk, "µs", "billion multiply-adds/s", "of rate"], ...rows]);
}

/** Deno's benches: many runs of a stage at once, since hearing of the end alone takes some 10 ms. */
async function registerBenches(): Promise<void> {
  for (const work of await model.decode(1, lengths[0]!)) {
    if (!isProduct(work) && work.name !== "attention") continue;
    const times = isSoftware ? 1 : 100;
    Deno.bench({
      name: `${work.name}, 1 row, × ${times * work.layers}`,
      n: 5,
      warmup: 1,
      fn: () => submit(work, times),
    });
  }
  for (const precision of PRECISIONS) {
    const prompt = await model.prompt(promptLength, precision);
    for (const work of prompt?.stages.filter(isProduct) ?? []) {
      const times = isSoftware ? 1 : 10;
      Deno.bench({
        name: `${work.name}, a prompt's chunk in ${precision}, × ${times * work.layers}`,
        n: 5,
        warmup: 1,
        fn: () => submit(work, times),
      });
    }
  }
}

async function submit(work: StageWork, times: number): Promise<void> {
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < times; i++) work.encode(pass);
  pass.end();
  gpu.device.queue.submit([encoder.finish()]);
  await gpu.device.queue.onSubmittedWorkDone();
}

/** The embedding reads rows of its matrix only. */
function isProduct(work: StageWork): boolean {
  return work.weightBytes > 0 && work.name !== "embedding";
}

function key(work: StageWork, length: number): string {
  return work.name === "attention" ? `attention over ${length}` : work.name;
}

/** Bytes of keys and values (f16) that a layer has for so many positions. */
function keyValueBytes(length: number): number {
  return length * 2 * model.config.numKeyValueHeads * model.config.headDim * 2;
}

function giga(perSecond: number): string {
  return (perSecond / 1e9).toFixed(1);
}

function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(0)}%`;
}

/** Prints rows as a table whose columns are as wide as they have to be; the first is a name. */
function print(rows: readonly (readonly string[])[]): void {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from(
    { length: columns },
    (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)),
  );
  say("");
  for (const row of rows) {
    const cells = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
    );
    say(cells.join("  "));
  }
}
