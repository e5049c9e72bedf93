import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { type DeviceInfo, Gpu, regionBytes } from "../../kernels/device.ts";
import { DittoError } from "../../kernels/errors.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { turn } from "../../kernels/turn.ts";
import { seeded } from "../random.ts";

/** A device that fails on request, with nothing behind it. */
function failing() {
  const lost = Promise.withResolvers<GPUDeviceLostInfo>();
  const events = new EventTarget();
  const device = {
    lost: lost.promise,
    addEventListener: events.addEventListener.bind(events),
  } as unknown as GPUDevice;
  const report = (message: string) =>
    events.dispatchEvent(Object.assign(new Event("uncapturederror"), { error: { message } }));
  const lose = (message: string) =>
    lost.resolve({ reason: "unknown", message } as unknown as GPUDeviceLostInfo);
  return { gpu: new Gpu(device, {} as DeviceInfo), lose, report };
}

Deno.test("unlessFailed() ends with the device's first failure, whenever that comes", async () => {
  const toError = (what: string) => new RangeError(what);
  const { promise: never } = Promise.withResolvers<never>();
  const { gpu, lose, report } = failing();
  assertEquals(await gpu.unlessFailed(Promise.resolve(7), toError), 7);
  await assertRejects(
    () => gpu.unlessFailed(Promise.reject(new TypeError("x")), toError),
    TypeError,
  );
  const waits = [gpu.unlessFailed(never, toError), gpu.unlessFailed(never, toError)];
  report("out of registers");
  lose("gone");
  for (const wait of [...waits, gpu.unlessFailed(never, toError)]) {
    await assertRejects(() => wait, RangeError, "failed: out of registers");
  }

  const other = failing();
  const wait = other.gpu.unlessFailed(never, toError);
  other.lose("gone");
  await assertRejects(() => wait, RangeError, "was lost: gone");
});

Deno.test("unlessFailed() waits for the loss that other words announce", async () => {
  const { gpu, lose } = failing();
  const wait = gpu.unlessFailed(Promise.reject(new DOMException("mapping failed")));
  setTimeout(() => lose("gone"), 10);
  await assertRejects(() => wait, DittoError, "was lost: gone");
});

Deno.test("unlessOutOfMemory() tells of that before all else, and spares the device", async () => {
  const scopes: string[] = [];
  const errors: Record<string, GPUError> = {};
  const device = {
    lost: new Promise(() => {}),
    addEventListener() {},
    pushErrorScope: (filter: string) => scopes.push(filter),
    popErrorScope: () => Promise.resolve(errors[scopes.pop()!] ?? null),
  } as unknown as GPUDevice;
  const gpu = new Gpu(device, { name: "a device" } as DeviceInfo);
  const toError = ({ message }: GPUError) => new RangeError(message);
  const fail = () => {
    throw new TypeError("x");
  };
  const seven = () => gpu.unlessOutOfMemory(() => 7, toError);
  assertEquals(await seven(), 7);
  await assertRejects(() => gpu.unlessOutOfMemory(fail, toError), TypeError, "x");
  errors["out-of-memory"] = { message: "full" } as GPUError;
  errors["validation"] = { message: "a buffer is invalid" } as GPUError;
  await assertRejects(seven, RangeError, "full");
  delete errors["out-of-memory"];
  await assertRejects(seven, DittoError, "(a device) failed: a buffer is invalid.");
  assertEquals(scopes, []);
});

Deno.test(
  "regions() lie side by side in buffers larger than a block of the driver's, but for the last",
  seeded((random) => {
    const block = 256 << 20;
    for (let i = 0; i < 50; i++) {
      const device = {
        lost: new Promise(() => {}),
        addEventListener() {},
        createBuffer: ({ size }: GPUBufferDescriptor) => ({ size }),
      } as unknown as GPUDevice;
      const maxBufferBytes = random.pick([block, 2 * block, 2 ** 31, 2 ** 40]);
      const gpu = new Gpu(device, { maxBufferBytes } as DeviceInfo);
      const largest = random.pick([100, 10e6, block, maxBufferBytes]);
      const wanted = Array.from({ length: random.between(0, 60) }, (_, i) => {
        return { label: `region ${i}`, bytes: random.between(0, Math.min(largest, 2 ** 31)) };
      });
      const regions = gpu.regions("all", wanted);
      const ends = new Map<GPUBuffer, number>();
      for (const [i, { label, buffer, offset, size }] of regions.entries()) {
        assertEquals(label, `region ${i}`);
        assertEquals(size, Math.max(16, Math.ceil(wanted[i]!.bytes / 16) * 16));
        assertEquals([offset, offset % 256], [ends.get(buffer) ?? 0, 0]);
        ends.set(buffer, offset + regionBytes(size));
      }
      assertEquals(regions.length, wanted.length);
      const buffers = [...ends.keys()];
      for (const [i, buffer] of buffers.entries()) {
        assertEquals(ends.get(buffer), buffer.size);
        assert(buffer.size <= Math.max(maxBufferBytes, regionBytes(largest)));
        const next = regions.find(({ buffer }) => buffer === buffers[i + 1]);
        if (next) assert(buffer.size > block || buffer.size + next.size > maxBufferBytes - 256);
      }
    }
  }),
);

Deno.test("write() fills a buffer, in whatever pieces", async () => {
  using gpu = await openGpu();
  for (const words of [0, 1, 2 ** 22, 2 * 2 ** 22 + 3]) { // a piece is 2^22 words
    const buffer = gpu.buffer("numbers", words * 4);
    const written = Uint32Array.from({ length: words }, (_, i) => Math.imul(i + 1, 0x9e3779b9));
    gpu.write(buffer, written);
    const read = new Uint32Array(await gpu.read(buffer)).subarray(0, words);
    assert(read.length === words && read.every((word, i) => word === written[i]), `${words} words`);
    gpu.free(buffer);
  }
});

Deno.test("unlessFailed() keeps nothing of what it waited for", async () => {
  const script = fileURLToPath(new URL("wait_repeatedly.ts", import.meta.url));
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", script],
  }).output();
  const kept = new TextDecoder().decode(stdout).trim();
  assert(
    kept !== "" && Number(kept) < 10,
    `${kept} of 1000 results are kept
${new TextDecoder().decode(stderr)}`,
  );
});

Deno.test(
  "map() reads what the GPU has just written, however soon a buffer is mapped again",
  seeded(async (random) => {
    using gpu = await openGpu();
    const { device } = gpu;
    const words = random.between(1, 5000);
    const source = gpu.buffer("source", 4 * words);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = [1, 2].map(() => gpu.buffer("staging", 4 * words, usage));
    let late = 0; // maps that took longer than Deno's promise is kept back
    for (let i = 0; i < 60; i++) {
      const written = new Uint32Array(words).fill(random.below(2 ** 32));
      device.queue.writeBuffer(source, 0, written);
      const to = staging[i % 2]!;
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, to, 0, 4 * words);
      device.queue.submit([encoder.finish()]);
      const mapped = gpu.map(to, 4 * words, (mapped) => new Uint32Array(mapped.slice(0)));
      device.queue.writeBuffer(source, 0, new Uint32Array(words)); // too late for what was submitted
      const timer = setTimeout(() => late++, 8);
      assertEquals(await mapped, written);
      clearTimeout(timer);
      if (random.chance(0.1)) await new Promise((resolve) => setTimeout(resolve, 12));
    }
    if (Deno.version.deno.startsWith("2.9.")) assert(late < 30, `${late} of 60 maps waited`);
  }),
);

Deno.test("map() waits for a buffer that is not mapped in the call, and fails as mapAsync() does", async () => {
  using gpu = await openGpu();
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = gpu.buffer("staging", 16, usage);
  await gpu.map(staging, 16, () => {});
  // As WebGPU has it: mapped only once the promise is kept.
  const late = new Proxy(staging, {
    get(target, name) {
      if (name !== "mapAsync") return Reflect.get(target, name, target).bind?.(target);
      return async (...range: Parameters<GPUBuffer["mapAsync"]>) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        await target.mapAsync(...range);
      };
    },
  });
  for (let i = 0; i < 3; i++) {
    assertEquals(
      await gpu.map(late, 16, (mapped) => [...new Uint8Array(mapped)]),
      Array(16).fill(0),
    );
  }
  gpu.free(staging);
  await assertRejects(() => gpu.map(staging, 16, () => {}), DOMException);
});

Deno.test(
  { name: "a signal is seen between waits", ignore: Deno.build.os === "windows" },
  async () => {
    let seen = 0;
    const listener = () => seen++;
    Deno.addSignalListener("SIGUSR2", listener);
    const wait = async () => {
      const end = performance.now() + 60;
      while (performance.now() < end); // as the GPU is waited for in Deno
      await turn();
    };
    try {
      for (let i = 0; i < 3; i++) await wait();
      for (let signals = 1; signals <= 3; signals++) {
        Deno.kill(Deno.pid, "SIGUSR2");
        for (let waits = 0; waits < 3; waits++) await wait();
        assertEquals(seen, signals, "signals that were seen");
      }
    } finally {
      Deno.removeSignalListener("SIGUSR2", listener);
    }
  },
);

Deno.test("a program that maps again and again has its other turns", async () => {
  using gpu = await openGpu();
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = gpu.buffer("staging", 16, usage);
  let isOver = false;
  const read = new Response(new Blob(["x"]).stream()).text(); // what needs more than microtasks
  setTimeout(() => isOver = true, 30);
  const end = performance.now() + 10_000;
  while (!isOver && performance.now() < end) await gpu.map(staging, 16, () => {});
  assert(isOver, "a timer did not run");
  assertEquals(await read, "x");
});
