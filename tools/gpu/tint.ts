/**
 * Checks kernels with Tint, the WGSL compiler of Dawn and Chromium, which is stricter than Deno's (naga): precedence, and
 * barriers and subgroup operations where all threads meet them. Needs no GPU.
 *
 *   deno run -A tools/gpu/kernel_sources.ts DIR
 *   deno run -A --no-lock --no-config tools/gpu/tint.ts DIR
 *
 * @module
 */
// For this tool alone: 60 MB of native code. An import that is spelled out would be everybody's.
const DAWN = ["npm", "webgpu@^0.6.2"].join(":");

if (import.meta.main) {
  const [directory] = Deno.args;
  if (!directory || directory.startsWith("-")) {
    console.error("Usage: tint.ts DIR");
    Deno.exit(2);
  }
  const { create } = await import(DAWN);
  const gpu: GPU = create(["backend=null"]); // which must stay alive
  const adapter = await gpu.requestAdapter();
  const device = await adapter!.requestDevice({
    requiredFeatures: ["subgroups" as GPUFeatureName, "shader-f16"],
  });
  let wrong = 0;
  for (const { name } of Deno.readDirSync(directory)) {
    if (!name.endsWith(".wgsl")) continue;
    const source = Deno.readTextFileSync(`${directory}/${name}`);
    const code = /\bsubgroup[A-Z]/.test(source) ? `enable subgroups;\n${source}` : source;
    device.pushErrorScope("validation");
    const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
    await device.popErrorScope();
    const errors = messages.filter(({ type }) => type === "error");
    for (const { lineNum, message } of errors) {
      console.log(`${name}: ${message}\n    ${code.split("\n")[lineNum - 1]?.trim()}`);
    }
    wrong += Number(errors.length > 0);
  }
  console.log(wrong === 0 ? "Tint takes all kernels." : `Tint refuses ${wrong} kernels.`);
  Deno.exit(wrong === 0 ? 0 : 1);
}
