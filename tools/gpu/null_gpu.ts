/**
 * Tells what the CPU leaves a fast GPU to wait for, without a GPU: Deno, wgpu and Ditto run as they are, on a driver that
 * computes nothing and is done when a GPU of given speed would be (null_gpu/driver.c). What the GPU would have read back
 * is made up here.
 *
 *     deno run -A tools/gpu/null_gpu.ts [--shape mistral-7b] [--tokens 256] [--context 1024] [--per-pass 1]
 *     deno run -A tools/gpu/null_gpu.ts --load DIR
 *
 * The first decodes so many tokens after a prompt of `context`, `per-pass` of them a pass, on GPUs that take 1 to 60 µs a
 * dispatch, and says how much of the time they are busy. (18 µs a dispatch of Mistral-7B are 3.6 ms a pass, which is what
 * reading its weights takes at 4 TB a second. Steps after the last token, which a real GPU is quick to leave, take as long
 * as others.) It also says what memory wgpu takes from a graphics card for the model. The second loads a checkpoint, such as
 * tools/random_checkpoint.ts makes, over a bus of 6 and 25 billion bytes a second, and one without a limit.
 *
 * Needed: a C compiler, Vulkan's headers and Mesa's software driver (libvulkan-dev, mesa-vulkan-drivers).
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "@std/cli/parse-args";
import { count, runMain } from "../../bench/arguments.ts";
import { randomWeights } from "../../bench/random_weights.ts";
import { SHAPE_NAMES, shapeConfig } from "../../bench/shapes.ts";
import { loadFrom, loadModel } from "../../decode/load_model.ts";
import { RESULT_BYTES, STOPS } from "../../decode/state.ts";
import { MAX_ROWS } from "../../kernels/stages.ts";
import type { MistralConfig } from "../../model/config.ts";
import type { WeightSource } from "../../model/weights.ts";
import { DittoError } from "../../model/errors.ts";

const HELP = `Tells what the CPU leaves a fast GPU to wait for, without a GPU.

  --shape NAME   ${SHAPE_NAMES.join(" | ")} (default mistral-7b)
  --context N    tokens of the prompt (default 1024)
  --tokens N     tokens to decode (default 256)
  --per-pass N   tokens that each pass accepts, 1 to 32; without lookup where it is 1 (default 1)
  --load DIR     loads a checkpoint instead`;

const DISPATCH_US = [60, 18, 6, 1];
const BUS_GBS = [6, 25, Infinity];

async function main(): Promise<void> {
  const flags = parseArgs(Deno.args, {
    boolean: ["help"],
    string: ["shape", "context", "tokens", "per-pass", "load"],
    default: { shape: "mistral-7b" },
    unknown(argument) {
      throw new DittoError(`There is no option ${argument}: see --help.`);
    },
  });
  if (flags.help) return console.log(HELP);
  const config = shapeConfig(flags.shape);
  const context = count("context", flags.context) ?? 1024;
  const tokens = count("tokens", flags.tokens) ?? 256;
  const perPass = count("per-pass", flags["per-pass"]) ?? 1;
  if (perPass > MAX_ROWS) {
    throw new DittoError(`--per-pass is ${perPass}: it must be ${MAX_ROWS} at most.`);
  }
  if (Deno.env.has("NULL_GPU")) {
    return flags.load ? await load(flags.load) : await decode(config, context, tokens, perPass);
  }
  const directory = await Deno.makeTempDir();
  try {
    const driver = await build(directory);
    const speeds = flags.load
      ? BUS_GBS.map((gbs) => ({ NULL_GPU_BUS_GBS: `${gbs === Infinity ? 0 : gbs}` }))
      : DISPATCH_US.map((us) => ({ NULL_GPU_DISPATCH_US: `${us}` }));
    // Vulkan reads its environment when Deno starts: a process for each speed.
    for (const speed of speeds) {
      const env = {
        NULL_GPU: directory,
        VK_DRIVER_FILES: driver,
        DITTO_CACHE: directory,
        ...speed,
      };
      const args = ["run", "-A", import.meta.filename!, ...Deno.args];
      if (await run(Deno.execPath(), args, env)) continue;
      Deno.exitCode = 1; // it has said why
      break;
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Builds the driver. Returns the file that tells Vulkan of it. */
async function build(directory: string): Promise<string> {
  const library = libraryIn(directory);
  const source = `${import.meta.dirname}/null_gpu/driver.c`;
  if (!await run("cc", ["-shared", "-fPIC", "-O2", "-o", library, source])) {
    throw new DittoError("The driver cannot be built: see above what the C compiler says.");
  }
  const icd = {
    file_format_version: "1.0.0",
    ICD: { library_path: library, api_version: "1.3.230" },
  };
  await Deno.writeTextFile(`${directory}/icd.json`, JSON.stringify(icd));
  return `${directory}/icd.json`;
}

function libraryIn(directory: string): string {
  return `${directory}/libnull_gpu.so`;
}

/** Bytes of memory that the driver, which Vulkan has loaded, has given away. */
function memoryTaken(): number {
  const driver = Deno.dlopen(libraryIn(Deno.env.get("NULL_GPU")!), {
    null_gpu_memory: { parameters: [], result: "u64" },
  });
  try {
    return Number(driver.symbols.null_gpu_memory());
  } finally {
    driver.close();
  }
}

/** Whether a command succeeded, which prints what it likes. */
async function run(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, env }).spawn().status).success;
  } catch (cause) {
    throw new DittoError(`${command} cannot be run: ${(cause as Error).message}.`, { cause });
  }
}

async function load(directory: string): Promise<void> {
  const start = performance.now();
  let last = { loadedBytes: 0, ms: 0 };
  const onProgress = ({ loadedBytes }: { loadedBytes: number }) => {
    last = { loadedBytes, ms: performance.now() - start };
  };
  using _ = await loadModel(directory, { rowCosts: costs(), onProgress });
  const { rss } = Deno.memoryUsage();
  const bus = Number(Deno.env.get("NULL_GPU_BUS_GBS")) || Infinity;
  console.log(
    `A bus of ${bus} GB/s: ${(last.loadedBytes / 1e9).toFixed(2)} GB of weights in ` +
      `${(last.ms / 1000).toFixed(2)} s, ${(last.loadedBytes / 1e6 / last.ms).toFixed(2)} GB/s; ` +
      `${(rss / 1e6).toFixed(0)} MB resident`,
  );
}

async function decode(
  config: MistralConfig,
  context: number,
  tokens: number,
  perPass: number,
): Promise<void> {
  const model = await loadFrom(noWeights(config), null, {
    context: context + tokens + 64,
    rowCosts: costs(),
  });
  const us = Number(Deno.env.get("NULL_GPU_DISPATCH_US"));
  if (us === DISPATCH_US[0]) {
    const [taken, computed] = [memoryTaken(), model.memory.total].map((n) => (n / 1e9).toFixed(2));
    console.log(`${taken} GB of memory are taken, of which ${computed} were computed`);
  }
  const prompt = Array.from({ length: context }, (_, i) => 3 + i % 1000);
  for (const isWarm of [false, true]) {
    const seen = playResults(tokens, perPass);
    const generation = model.generate(prompt, {
      maxNewTokens: tokens,
      promptLookupNumTokens: perPass === 1 ? 0 : 31,
      ignoreEos: true,
      cachePrompt: false,
    });
    let before: NodeJS.CpuUsage | null = null;
    for await (const _ of generation) before ??= process.cpuUsage();
    const { user, system } = process.cpuUsage(before!);
    const { passes, timing } = await generation.result();
    if (!isWarm) continue;
    const gpuMs = seen.dispatchesAPass() * us / 1000;
    const wallMs = timing.decodeMs / passes;
    console.log(
      `${us} µs a dispatch, ${
        gpuMs.toFixed(2)
      } ms a pass: ${tokens} tokens in ${passes} passes took ` +
        `${wallMs.toFixed(2)} ms each, the GPU was busy for ${
          (gpuMs / wallMs * 100).toFixed(0)
        }%, ` +
        `the CPU for ${((user + system) / 1000 / passes).toFixed(2)} ms each`,
    );
  }
}

/** Some cost of rows, so that nothing is measured. */
function costs(): number[] {
  return Array.from({ length: MAX_ROWS }, (_, i) => 1 + 0.03 * i);
}

/** A model's shape, whose weights are whatever is in memory. */
function noWeights(config: MistralConfig): WeightSource {
  return { ...randomWeights(config), read: () => Promise.resolve() };
}

const { getMappedRange } = GPUBuffer.prototype;
const { copyBufferToBuffer } = GPUCommandEncoder.prototype;
const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
const { beginComputePass } = GPUCommandEncoder.prototype;

/**
 * Makes up what passes leave in the staging buffers: so many tokens each, until there are enough.
 *
 * @returns Tells how many dispatches the last pass had that was encoded.
 */
function playResults(tokens: number, perPass: number): { dispatchesAPass(): number } {
  const filled = new Map<GPUBuffer, number>(); // bytes of results that a submission copies to each
  let made = 0;
  let dispatches = 0; // of the steps of a submission
  let dispatchesAPass = 0;
  GPUCommandEncoder.prototype.beginComputePass = function (...descriptor) {
    dispatches = 0;
    return beginComputePass.apply(this, descriptor);
  };
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...workgroups) {
    dispatches++;
    return dispatchWorkgroups.apply(this, workgroups);
  };
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (...copy: unknown[]) {
    const [, , target, offset, size] = copy as [unknown, unknown, GPUBuffer, number, number];
    filled.set(target, offset + size);
    dispatchesAPass = dispatches / ((offset + size) / RESULT_BYTES);
    return Reflect.apply(copyBufferToBuffer, this, copy);
  };
  GPUBuffer.prototype.getMappedRange = function (...range) {
    const mapped = getMappedRange.apply(this, range);
    if (this.label !== "staging") return mapped;
    const words = new Uint32Array(mapped).fill(0);
    for (let at = 0; at < filled.get(this)! / 4 && made < tokens; at += RESULT_BYTES / 4) {
      const count = Math.min(perPass, tokens - made);
      made += count;
      const stop = made < tokens ? 0 : STOPS.indexOf("length");
      words.set([count, count - 1, perPass - 1, 0, 0, stop, ...new Array(count).fill(5)], at);
    }
    return mapped;
  };
  return { dispatchesAPass: () => dispatchesAPass };
}

if (import.meta.main) await runMain(main);
