import { assert, assertEquals, assertRejects } from "@std/assert";
import { fileURLToPath } from "node:url";
import { DittoError } from "../../kernels/errors.ts";
import { mostSamplers } from "../../kernels/compiler.ts";
import {
  buffersOf,
  type DeviceInfo,
  Gpu,
  largestLimits,
  listDevices,
  openGpu,
  regionBytes,
  subgroupsOf,
} from "../../kernels/device.ts";
import { turn } from "../../kernels/turn.ts";
import { seeded } from "../random.ts";

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

Deno.test("openGpu() and listDevices() find a device by a part of its name", async () => {
  const { requestAdapter } = navigator.gpu;
  const [first] = await listDevices();
  const asked: GPURequestAdapterOptions[] = [];
  // Another device where little power is asked for, and a third that is software.
  navigator.gpu.requestAdapter = async (options = {}) => {
    asked.push(options);
    const adapter = (await requestAdapter.call(navigator.gpu, {}))!;
    const description = options.powerPreference === "low-power"
      ? "Graphics 770"
      : options.forceFallbackAdapter
      ? "CPU"
      : first!.name;
    Object.defineProperty(adapter, "info", { value: { description } });
    return adapter;
  };
  try {
    const open = async (name?: string) => {
      using gpu = await openGpu(name === undefined ? {} : { name });
      return gpu.info.name;
    };
    assertEquals(await open(), first!.name);
    assertEquals(asked, [{ powerPreference: "high-performance" }]);
    assertEquals(await open("graphics"), "Graphics 770");
    assertEquals(await open("CPU"), "CPU");
    assertEquals(await open(first!.name), first!.name);
    assertEquals(await open(""), first!.name);
    const names = async (name?: string) => (await listDevices(name)).map(({ name }) => name);
    assertEquals(await names(), [first!.name, "Graphics 770", "CPU"]);
    assertEquals(await names("77"), ["Graphics 770"]);
    assertEquals(await names("H200"), []);
    const error = await assertRejects(
      () => open("H200"),
      DittoError,
      `there is ${first!.name} and`,
    );
    assertEquals(error.code, "input");
  } finally {
    navigator.gpu.requestAdapter = requestAdapter;
  }
});

Deno.test("on Metal no workgroup has more threads than any kernel may have there", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const threads = async (os: typeof Deno.build.os) => {
    const limits = largestLimits(os).map((name) => [name, adapter!.limits[name]]);
    const device = await adapter!.requestDevice({ requiredLimits: Object.fromEntries(limits) });
    const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX } = device.limits;
    device.destroy();
    return [
      mostSamplers(device.limits),
      maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX,
    ];
  };
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX } = adapter!.limits;
  assertEquals(await threads("darwin"), [256, 256, 256]);
  assertEquals(
    (await threads("linux")).slice(1),
    [maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX],
  );
});

Deno.test("a device that its driver refuses is refused with a sentence", async () => {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = () => {
    return Promise.reject(new DOMException("Parent device is lost", "OperationError"));
  };
  try {
    await assertRejects(
      () => openGpu(),
      DittoError,
      "cannot be opened (Parent device is lost): close",
    );
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
});

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

Deno.test("what a device is said to allow, it allows when rounded up", async () => {
  using gpu = await openGpu();
  const { maxBindingBytes, maxBufferBytes } = gpu.info;
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  for (
    const [bytes, limit] of [
      [maxBindingBytes, maxStorageBufferBindingSize],
      [maxBufferBytes, maxBufferSize], // on Linux 2^31 - 1, but for NVIDIA's driver
    ] as const
  ) {
    assert(regionBytes(bytes) <= limit && regionBytes(bytes + 1) > limit, `${bytes} of ${limit}`);
  }
});

Deno.test("where a GPU refuses a usual buffer, all are to be small", async () => {
  const found = async (room: number, info: Partial<DeviceInfo>) => {
    let error: Partial<GPUError> | null = null;
    const buffers = new Set<unknown>();
    const device = {
      pushErrorScope: (filter: string) => assertEquals(filter, "out-of-memory"),
      popErrorScope: () => Promise.resolve(error),
      createBuffer({ size }: GPUBufferDescriptor) {
        if (size > room) error = { message: "no room" };
        const buffer = { destroy: () => buffers.delete(buffer) };
        buffers.add(buffer);
        return buffer;
      },
    } as unknown as GPUDevice;
    const given = { isSoftware: false, maxBindingBytes: 2 ** 31 - 256, maxBufferBytes: 2 ** 32 };
    const { maxBindingBytes, maxBufferBytes } = await buffersOf(
      device,
      { ...given, ...info } as DeviceInfo,
    );
    assertEquals(buffers.size, 0);
    return [maxBindingBytes, maxBufferBytes];
  };
  const small = 64 << 20;
  assertEquals(await found(2 ** 33, {}), [2 ** 31 - 256, 2 ** 32]);
  assertEquals(await found(240 << 20, {}), [small, small]); // of a heap of 256 MB
  assertEquals(await found(240 << 20, { maxBindingBytes: 1 << 20 }), [1 << 20, small]);
  // A device that does not allow as much is not asked for more, nor is one of software, whose memory is the machine's.
  assertEquals(await found(1 << 27, { maxBufferBytes: 1 << 27 }), [2 ** 31 - 256, 1 << 27]);
  assertEquals(await found(0, { isSoftware: true }), [2 ** 31 - 256, 2 ** 32]);
});

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
