/** What loading leaves to the rest of the program: turns, and an end where its signal says so. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { listDevices, loadModel } from "../../mod.ts";
import { GpuSpy } from "../gpu_spy.ts";

const DIRECTORY = new URL("../fixtures/tiny-gqa-bf16", import.meta.url);
const permissions = { read: true }; // so that what was measured before is not found, and all is measured

/** Calls `onBegin` for each kernel that is compiled and each submission that is encoded until it is disposed of. */
function spyOnWork(onBegin: (what: "kernel" | "work") => void): Disposable {
  const { createComputePipeline } = GPUDevice.prototype;
  const { beginComputePass } = GPUCommandEncoder.prototype;
  GPUDevice.prototype.createComputePipeline = function (...descriptor) {
    onBegin("kernel");
    return createComputePipeline.apply(this, descriptor);
  };
  GPUCommandEncoder.prototype.beginComputePass = function (...descriptor) {
    onBegin("work");
    return beginComputePass.apply(this, descriptor);
  };
  return {
    [Symbol.dispose]() {
      GPUDevice.prototype.createComputePipeline = createComputePipeline;
      GPUCommandEncoder.prototype.beginComputePass = beginComputePass;
    },
  };
}

for (const promptPrecision of ["f32", "f16"] as const) {
  const name =
    `the rest of the program has a turn after each kernel and each submission, ${promptPrecision}`;
  Deno.test({ name, permissions }, async () => {
    if (promptPrecision === "f16" && !(await listDevices())[0]!.hasF16) return;
    const begun = { kernel: 0, work: 0 };
    let turns = 0;
    let hadTurn = true;
    using _ = spyOnWork((what) => {
      begun[what]++;
      if (hadTurn) turns++;
      hadTurn = false;
      setImmediate(() => hadTurn = true);
      setTimeout(() => hadTurn = true); // a turn of the one kind or the other
    });
    using _model = await loadModel(DIRECTORY, { context: 400, promptPrecision });
    assert(begun.kernel > 15 && begun.work > begun.kernel, JSON.stringify(begun));
    assertEquals(turns, begun.kernel + begun.work);
  });
}

Deno.test(
  { name: "an abort while kernels are compiled or tried ends the loading there", permissions },
  async () => {
    const load = async (signal?: AbortSignal): Promise<unknown> => {
      try {
        using _model = await loadModel(DIRECTORY, { context: 400, signal });
      } catch (error) {
        return error;
      }
    };
    let all = 0;
    {
      using _ = spyOnWork(() => all++);
      assertEquals(await load(), undefined);
    }
    for (const moment of [1, 2, 10, 20, Math.floor(all / 2), all]) {
      using spy = new GpuSpy();
      const abort = new AbortController();
      const reason = new Error("enough");
      let begun = 0;
      using _ = spyOnWork(() => {
        if (++begun === moment) abort.abort(reason);
      });
      assertStrictEquals(await load(abort.signal), reason);
      assertEquals([begun, spy.aliveBuffers.size, spy.aliveDevices.size], [moment, 0, 0]);
    }
  },
);
