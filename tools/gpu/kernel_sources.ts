/**
 * Writes the kernels that a GPU runs Mistral-7B with, one WGSL file and one JSON file of constants each, for compilers
 * that need no GPU (ptxas.py):
 *
 *   deno run -A tools/gpu/kernel_sources.ts DIR [bf16 | fp8 | q8 | q4] [CHOICE=NUMBER ...]
 *
 * A CHOICE is one of the device profile's, such as rowsTogether=8. Where the CPU plays the device, kernels are an NVIDIA
 * GPU's; with subgroups=0 they are those of a GPU that has neither subgroups nor f16, as none has in Deno on DirectX 12
 * (dx12.sh). Their names are printed as each is compiled, for drivers that say what they made of it (intel.sh).
 *
 * @module
 */
import { randomWeights } from "../../bench/random_weights.ts";
import { shapeConfig } from "../../bench/shapes.ts";
import { Engine } from "../../decode/engine.ts";
import { Gpu } from "../../kernels/device.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { Compiler } from "../../kernels/compiler.ts";
import { defaultProfile } from "../../kernels/profile.ts";
import type { Stage, Variant } from "../../kernels/stages.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights } from "../../model/layout.ts";
import { dimensions, promptChunk, type PromptPrecision } from "../../model/memory.ts";
import { quantizedType } from "../../model/quantization.ts";
import { maxPartBytes } from "../../model/weight_textures.ts";
import { loadWeights } from "../../model/weights.ts";

const CONTEXT = 4096;

class Writer extends Compiler {
  directory = "";

  override kernel(stage: Stage, variant: Variant, constants: Record<string, number>) {
    const { source, used } = this.source(stage, variant, constants);
    const size = used.K8 ? `-${8 * used.K8}` : "";
    const name = [stage, ...Object.values(variant)].join("-") + size;
    console.log(name);
    Deno.writeTextFileSync(`${this.directory}/${name}.wgsl`, source);
    Deno.writeTextFileSync(`${this.directory}/${name}.json`, JSON.stringify(used));
    const kernel = super.kernel(stage, variant, constants);
    void kernel.pipeline; // compiles it
    return kernel;
  }
}

if (import.meta.main) {
  const [directory, weights = "bf16", ...choices] = Deno.args;
  if (!directory || directory.startsWith("-") || !["bf16", "fp8", "q8", "q4"].includes(weights)) {
    console.error("Usage: kernel_sources.ts DIR [bf16 | fp8 | q8 | q4] [CHOICE=NUMBER ...]");
    Deno.exit(2);
  }
  Deno.mkdirSync(directory, { recursive: true });
  const { subgroups = 1, ...profile } = Object.fromEntries(choices.map((choice) => {
    const [name, value] = choice.split("=");
    return [name, Number(value)];
  }));
  const { device, info } = await openGpu({ subgroups: subgroups !== 0 });
  // Kernels are compiled here, and not run.
  const nvidia = { isSoftware: false, subgroupSize: 32, subgroupVaries: false };
  const plain = { isSoftware: false, subgroupSize: null, subgroupVaries: false, hasF16: false };
  using gpu = new Gpu(device, {
    ...info,
    ...(subgroups === 0 ? plain : info.isSoftware && nvidia),
  });
  const config = shapeConfig("mistral-7b", 2); // of a prompt the last layer has keys and values only
  const source = randomWeights(config, weights === "fp8" ? weights : "bf16");
  const quantization = weights === "q8" || weights === "q4" ? weights : null;
  const layout = layOutWeights(
    config,
    (tensor) => quantizedType(tensor, quantization) ?? source.tensors.get(tensor)!.dtype,
    maxPartBytes(gpu.info),
  );
  const loaded = await loadWeights(gpu, source, layout);
  const compiler = new Writer(gpu, { ...defaultProfile(gpu.info), ...profile });
  compiler.directory = directory;
  const precisions: PromptPrecision[] = gpu.info.hasF16 ? ["f16", "f32"] : ["f32"];
  for (const precision of precisions) {
    const d = dimensions(config, CONTEXT, "f16", precision, promptChunk(gpu.info));
    const forward = new Forward(gpu, compiler, config, loaded, d);
    new Engine(gpu, compiler, forward, config.vocabSize, CONTEXT);
  }
}
