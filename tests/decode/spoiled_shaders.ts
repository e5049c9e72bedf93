/**
 * A compiler that does not treat every number of rows alike, of which none was at hand: shaders are spoiled on their way to
 * it, by one unit in the last place or more.
 *
 * @module
 */
import { assertEquals } from "@std/assert";

/**
 * Changes the results of rows where a condition on `row` or `rows.count` holds, in all shaders that are made until it is
 * disposed of.
 */
export function spoilWhere(condition: string): Disposable {
  const factor = `select(1.0, 1.0000001192, ${condition})`;
  return spoil("let y = sums * scales;", `let y = sums * scales * ${factor};`, 3); // qkv, gate and up, head
}

/** Lets rows see another row in place of their ancestor of such a depth, which a row alone does not have. */
export function spoilAncestor(depth: number): Disposable {
  const own = "path[query][min(position - rows.base, MAX_ROWS - 1u)]";
  const other = `path[query][${depth - 1}u]`;
  return spoil(
    `return ${own};`,
    `return select(${own}, ${other}, position - rows.base == ${depth}u);`,
    1,
  );
}

/** Replaces a part of some stages' text. */
function spoil(part: string, other: string, stages: number): Disposable {
  const { createShaderModule } = GPUDevice.prototype;
  let spoiled = 0;
  GPUDevice.prototype.createShaderModule = function ({ code, ...others }) {
    const found = code.replaceAll(part, other);
    if (found !== code) spoiled++;
    return createShaderModule.call(this, { ...others, code: found });
  };
  return {
    [Symbol.dispose]() {
      GPUDevice.prototype.createShaderModule = createShaderModule;
      assertEquals(spoiled, stages, "the kernels read otherwise now: so must what this looks for");
    },
  };
}
