import { assertEquals } from "@std/assert";
import { subgroupsOf } from "../../kernels/device.ts";

Deno.test("subgroupsOf() takes the fewest lanes there may be, and none where that is not known", () => {
  const of = (name: string, least: number, most: number) => {
    const { subgroupSize, subgroupVaries } = subgroupsOf(name, least, most);
    return [subgroupSize, subgroupVaries];
  };
  assertEquals(of("NVIDIA H200", 32, 32), [32, false]);
  assertEquals(of("AMD Radeon RX 7900 XTX (RADV NAVI31)", 32, 64), [32, true]);
  assertEquals(of("Intel(R) Arc(tm) A770 Graphics (DG2)", 8, 32), [8, true]);
  assertEquals(of("llvmpipe (LLVM 15.0.6, 256 bits)", 8, 8), [8, false]);
  // What wgpu says of all of Metal.
  assertEquals(of("Apple M3 Max", 4, 64), [32, true]);
  assertEquals(of("AMD Radeon Pro 5500M", 4, 64), [4, true]);
  assertEquals(of("Apple M9", 64, 64), [64, false]);
  for (const [least, most] of [[0, 0], [1, 32], [2, 2], [64, 32], [4, 256]] as const) {
    assertEquals(of("some device", least, most), [null, false]);
  }
});
