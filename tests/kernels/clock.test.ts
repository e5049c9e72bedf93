import { assert, assertEquals } from "@std/assert";
import { fastestOfEach, timeOnGpu } from "../../kernels/clock.ts";
import { FakeClock } from "../fake_clock.ts";

Deno.test("timeOnGpu() gives what each piece of work took, and nothing without a clock", async () => {
  const clock = new FakeClock();
  const work = [70, 10, 30].map((time) => () => clock.take(time));
  assertEquals(await timeOnGpu(clock.gpu, work), [70, 10, 30]);
  assertEquals(await timeOnGpu(new FakeClock({ hasClock: false }).gpu, work), null);
});

Deno.test("timeOnGpu() gives nanoseconds, whatever the driver counts", async () => {
  for (const tick of [1, 10, 83.333]) { // NVIDIA's, AMD's, Intel's
    const clock = new FakeClock({ tick });
    const [long, short] = (await timeOnGpu(clock.gpu, [() =>
      clock.take(4e6), () => clock.take(1e6)]))!;
    if (tick === 1) assertEquals([long, short], [4e6, 1e6]);
    assert(long! > 2e6 && long! < 8e6, `${long} ns for 4e6 in ticks of ${tick}`);
    assert(Math.abs(long! / short! - 4) < 0.01, `${long} and ${short} ns in ticks of ${tick}`);
  }
});

Deno.test("timeOnGpu() waits for each piece of work that takes long, and for many that do not", async () => {
  const waitsFor = async (ms: number) => {
    const { gpu } = new FakeClock({ isSoftware: true }); // whose clock is not compared with the CPU's
    let waits = 0;
    gpu.finish = async () => {
      waits++;
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    };
    await timeOnGpu(gpu, new Array(4).fill(() => {}));
    return waits;
  };
  assertEquals(await waitsFor(120), 4);
  assert(await waitsFor(0) < 4);
});

Deno.test("fastestOfEach() takes turns and keeps the fastest of each", async () => {
  const clock = new FakeClock();
  const times = { a: [50, 20, 90], b: [5, 9, 7] };
  const order: string[] = [];
  const work = (["a", "b"] as const).map((name) => () => {
    clock.take(times[name].shift()!);
    order.push(name);
  });
  assertEquals(await fastestOfEach(clock.gpu, work, 3), [20, 5]);
  assertEquals(order.join(""), "ababab");
});

Deno.test("fastestOfEach() does without the runs in which the clock stood still or was set back", async () => {
  const clock = new FakeClock();
  const times = [[-7, 20, 30, 0], [0, -1, -90, -2]];
  const work = times.map((each) => () => clock.take(each.shift()!));
  assertEquals(await fastestOfEach(clock.gpu, work, 4), [20, Infinity]);
});
