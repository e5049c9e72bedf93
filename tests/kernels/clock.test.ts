import { assertEquals } from "@std/assert";
import { fastestOfEach, timeOnGpu } from "../../kernels/clock.ts";
import { FakeClock } from "../fake_clock.ts";

Deno.test("timeOnGpu() gives what each piece of work took, and nothing without a clock", async () => {
  const clock = new FakeClock();
  const work = [70, 10, 30].map((time) => () => clock.take(time));
  assertEquals(await timeOnGpu(clock.gpu, work), [70, 10, 30]);
  assertEquals(await timeOnGpu(new FakeClock({ hasClock: false }).gpu, work), null);
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
