/**
 * A compiler that does not treat every number of rows alike, of which none was at hand: shaders are spoiled on their way to
 * it, by one unit in the last place.
 *
 * @module
 */
import { assertEquals } from "@std/assert";

/** Stages whose results are spoiled: qkv, gate and up, and the head. */
const STAGES = 3;

/**
 * Changes the results of rows where a condition on `row` or `rows.count` holds, in all shaders that are made until it is
 * disposed of.
 */
export function spoilWhere(condition: string): Disposable {
  const { createShaderModule } = GPUDevice.prototype;
  let spoiled = 0;
  GPUDevice.prototype.createShaderModule = function ({ code, ...others }) {
    const found = code.replaceAll(
      "let y = sums * scales;",
      `let y = sums * scales * select(1.0, 1.0000001192, ${condition});`,
    );
    if (found !== code) spoiled++;
    return createShaderModule.call(this, { ...others, code: found });
  };
  return {
    [Symbol.dispose]() {
      GPUDevice.prototype.createShaderModule = createShaderModule;
      assertEquals(spoiled, STAGES, "the kernels read otherwise now: so must what this looks for");
    },
  };
}
