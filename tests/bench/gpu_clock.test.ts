import { assertEquals, assertRejects } from "@std/assert";
import { fastestOnGpu } from "../../bench/gpu_clock.ts";
import { FakeClock } from "../fake_clock.ts";

/** A device whose runs take so many nanoseconds each, and that finds fault with what it was asked, or not. */
function device(times: readonly number[], fault: string | null = null, hasClock = true) {
  const clock = new FakeClock({ isSoftware: true, hasClock });
  let run = 0;
  Object.assign(clock.gpu.device, {
    pushErrorScope() {},
    popErrorScope: () => Promise.resolve(fault && { message: fault }),
  });
  return fastestOnGpu(clock.gpu, () => clock.take(times[run++]!), times.length);
}

Deno.test("fastestOnGpu() is of the runs that the clock was not set back in", async () => {
  assertEquals(await device([50, 20, 30]), 20e-9);
  assertEquals(await device([50, -7, 30, 20]), 20e-9);
  assertEquals(await device([0, 20]), 20e-9);
  assertEquals(await device([0, -7]), null);
  assertEquals(await device([20], null, false), null);
  await assertRejects(() => device([20], "too large"), Error, "too large");
});
