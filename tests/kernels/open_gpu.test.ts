import { assert, assertEquals, assertRejects } from "@std/assert";
import { mostSamplers } from "../../kernels/compiler.ts";
import { type DeviceInfo, regionBytes } from "../../kernels/device.ts";
import { DittoError } from "../../kernels/errors.ts";
import { lackedLimits } from "../../kernels/least_limits.ts";
import {
  buffersOf,
  largestLimits,
  listDevices,
  openGpu,
  subgroupsOf,
} from "../../kernels/open_gpu.ts";

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

/** What stands in for an adapter: its name, and those of its limits that differ. */
type StandIn = readonly [description: string, limits?: object];

/** Calls `run` while WebGPU has these adapters; `asked` is what it has been asked for. */
async function withAdapters(
  { first, lowPower = first, software }: {
    first?: StandIn;
    lowPower?: StandIn;
    software?: StandIn;
  },
  run: (asked: readonly GPURequestAdapterOptions[]) => Promise<void>,
): Promise<void> {
  const { requestAdapter } = navigator.gpu;
  const asked: GPURequestAdapterOptions[] = [];
  navigator.gpu.requestAdapter = async (options = {}) => {
    asked.push(options);
    const { forceFallbackAdapter, powerPreference } = options;
    const found = forceFallbackAdapter
      ? software
      : powerPreference === "low-power"
      ? lowPower
      : first;
    if (!found) return null;
    const [description, limits = {}] = found;
    const adapter = (await requestAdapter.call(navigator.gpu, {}))!;
    Object.defineProperty(adapter, "info", { value: { description } });
    const value = new Proxy(adapter.limits, {
      get: (all, name) => Reflect.get(name in limits ? limits : all, name),
    });
    Object.defineProperty(adapter, "limits", { value });
    return adapter;
  };
  try {
    await run(asked);
  } finally {
    navigator.gpu.requestAdapter = requestAdapter;
  }
}

Deno.test("openGpu() and listDevices() find a device by a part of its name", async () => {
  const [first] = await listDevices();
  // Another device where little power is asked for, and a third that is software.
  const three = { first: [first!.name], lowPower: ["Graphics 770"], software: ["CPU"] } as const;
  await withAdapters(three, async (asked) => {
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
    for (const wrong of [5, null, {}] as unknown as string[]) {
      await assertRejects(() => listDevices(wrong), DittoError, "must be a text");
    }
    const error = await assertRejects(
      () => open("H200"),
      DittoError,
      `there is ${first!.name} or Graphics 770 or CPU.`,
    );
    assertEquals(error.code, "input");
  });
});

Deno.test("a GPU that Deno cannot open is passed over", async () => {
  const limits = { maxColorAttachments: 4, minStorageBufferOffsetAlignment: 512 };
  const small = ["V3D 7.1", limits] as const;
  const lacks = "V3D 7.1 has less than WebGPU asks for, so that Deno cannot open it " +
    "(minStorageBufferOffsetAlignment is 512 and not 256, maxColorAttachments is 4 and not 8): ";
  const refused = async (name: string | undefined, message: string, code: DittoError["code"]) => {
    const error = await assertRejects(() => openGpu({ name }), DittoError, message);
    assertEquals(error.code, code);
  };
  await withAdapters({ first: small, software: ["CPU"] }, async () => {
    assertEquals((await listDevices()).map(({ name }) => name), ["CPU"]);
    for (const name of [undefined, "", "cpu"]) {
      using gpu = await openGpu({ name });
      assertEquals(gpu.info.name, "CPU");
    }
    await refused("v3d", `${lacks}take CPU.`, "device");
    const message = 'There is no WebGPU device with "H200" in its name: there is CPU.';
    await refused("H200", message, "input");
  });
  await withAdapters({ first: small }, async () => {
    assertEquals(await listDevices(), []);
    await refused(undefined, `${lacks}install the GPU's Vulkan driver`, "device");
    await refused("H200", "No WebGPU device was found: install", "device");
  });
  await withAdapters({}, () => refused(undefined, "No WebGPU device was found: install", "device"));
});

Deno.test("what WebGPU asks for is what a device has that was asked for nothing", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter!.requestDevice();
  const { limits } = device;
  device.destroy();
  const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(limits)))
    .filter((name) =>
      /^m(in|ax)/.test(name) && !/In(Vertex|Fragment)Stage$/.test(name)
    ) as (keyof typeof limits)[];
  assert(names.length >= 30, `${names}`);
  assertEquals(lackedLimits(limits), []);
  for (const name of names) {
    const less = name.startsWith("min") ? limits[name]! * 2 : limits[name]! - 1;
    const others = Object.fromEntries(names.map((name) => [name, limits[name]]));
    assertEquals(
      lackedLimits({ ...others, [name]: less } as unknown as GPUSupportedLimits),
      [`${name} is ${less} and not ${limits[name]}`],
    );
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
