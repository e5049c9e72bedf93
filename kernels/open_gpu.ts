/**
 * Finding and opening WebGPU devices in Deno, and the oddities of doing so.
 *
 * Deno grants `subgroups` when it is asked for even where `adapter.features` does not list it, so it is
 * asked for and done without when the device is refused.
 *
 * @module
 */
import { type DeviceInfo, Gpu, wholeRegions } from "./device.ts";
import { DittoError } from "./errors.ts";
import { lackedLimits } from "./least_limits.ts";

/** How to open a device. */
export interface OpenOptions {
  /** A part of the device's name, in capitals or not, as {@linkcode listDevices} tells it. Default: the first of them. */
  readonly name?: string | undefined;
  /** Use subgroup operations where the device has them. Default true; false is for tests. */
  readonly subgroups?: boolean | undefined;
  /** Take subgroups as if they could be as small as this, as where they vary; for tests. */
  readonly smallestSubgroup?: number | undefined;
  /** Use WGSL's conversions of f16 where the device has them. Default true; false is for tests. */
  readonly f16Conversions?: boolean | undefined;
  /** Take a binding limit smaller than the device's, in bytes, so that tensors are split; for tests. */
  readonly maxBindingBytes?: number | undefined;
}

/**
 * Limits that are asked for as the device has them; without, they are WebGPU's least.
 *
 * Metal leaves each kernel as many threads as its registers allow, which may be fewer than the device's 1024. wgpu 29 does
 * not ask, and a dispatch of more does nothing, without a word (gfx-rs/wgpu#9176). So workgroups have 256 threads there.
 */
export function largestLimits(os: typeof Deno.build.os): readonly (keyof GPUSupportedLimits)[] {
  return [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxComputeWorkgroupStorageSize",
    ...os === "darwin"
      ? []
      : ["maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX"] as const,
  ];
}

/** The adapters that WebGPU can be asked for, the one that is used first; of those with the same name the first. */
async function requestAdapters(): Promise<GPUAdapter[]> {
  const found = new Map<string, GPUAdapter>();
  for (
    const options of [
      { powerPreference: "high-performance" },
      { powerPreference: "low-power" },
      { forceFallbackAdapter: true },
    ] satisfies GPURequestAdapterOptions[]
  ) {
    const adapter = await navigator.gpu?.requestAdapter(options);
    if (adapter && !found.has(nameOf(adapter))) found.set(nameOf(adapter), adapter);
  }
  return [...found.values()];
}

/**
 * The WebGPU devices that Deno offers and can open, the one that is used before the others; an empty list if there is none.
 *
 * @param name Only those with this in their names, in capitals or not. Default: all.
 * @throws {DittoError} If `name` is no text.
 */
export async function listDevices(name = ""): Promise<DeviceInfo[]> {
  if (typeof name !== "string") {
    throw new DittoError("The name of devices must be a text.", { code: "input" });
  }
  return (await requestAdapters())
    .filter((adapter) => canBeOpened(adapter) && isCalled(adapter, name))
    .map(infoOf);
}

function canBeOpened({ limits }: GPUAdapter): boolean {
  return lackedLimits(limits).length === 0;
}

function isCalled(adapter: GPUAdapter, name: string): boolean {
  return nameOf(adapter).toLowerCase().includes(name.toLowerCase());
}

/** Finds the adapter of the device to open. */
async function findAdapter(name: string | undefined): Promise<GPUAdapter> {
  if (name === undefined) {
    const first = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (first && canBeOpened(first)) return first;
  }
  const adapters = await requestAdapters();
  const called = adapters.filter((adapter) => isCalled(adapter, name ?? ""));
  const found = called.find(canBeOpened);
  if (found) return found;
  const others = adapters.filter(canBeOpened).map(nameOf).join(" or ");
  const driver = "install the GPU's Vulkan driver, or Mesa's software driver (on Debian and " +
    "Ubuntu: apt-get install mesa-vulkan-drivers).";
  if (called.length > 0) {
    throw new DittoError(
      `${nameOf(called[0]!)} has less than WebGPU asks for, so that Deno cannot open it ` +
        `(${lackedLimits(called[0]!.limits).join(", ")}): ` +
        (others ? `take ${others}.` : driver),
      { code: "device" },
    );
  }
  if (!others) throw new DittoError(`No WebGPU device was found: ${driver}`, { code: "device" });
  throw new DittoError(
    `There is no WebGPU device with ${JSON.stringify(name)} in its name: there is ${others}.`,
    { code: "input" },
  );
}

/**
 * Opens a device, with the largest buffers and workgroups it allows.
 *
 * @throws {DittoError} If there is no WebGPU device, none of the name that is asked for, or its driver refuses it.
 */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  const adapter = await findAdapter(options.name);
  const requiredLimits = Object.fromEntries(
    largestLimits(Deno.build.os).map((name) => [name, adapter.limits[name]]),
  );
  let info = infoOf(adapter);
  const smallest = options.smallestSubgroup;
  if (info.subgroupSize !== null && smallest !== undefined && smallest < info.subgroupSize) {
    info = { ...info, subgroupSize: smallest, subgroupVaries: true };
  }
  // The GPU's clock, by which the cost of a pass is measured, and f16.
  const features = (["timestamp-query", "shader-f16"] as const)
    .filter((name) => adapter.features.has(name));
  let device: GPUDevice | null = null;
  if (options.subgroups !== false && info.subgroupSize !== null) {
    try {
      device = await adapter.requestDevice({
        requiredFeatures: ["subgroups" as GPUFeatureName, ...features],
        requiredLimits,
      });
    } catch {
      // The device is refused when it has no subgroups after all: do without.
    }
  }
  const subgroupSize = device ? info.subgroupSize : null;
  try {
    device ??= await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
  } catch (cause) {
    const reason = (cause as Error).message.replace(/\.$/, "");
    throw new DittoError(
      `${info.name} cannot be opened (${reason}): close what else uses it, or update its driver.`,
      { cause, code: "device" },
    );
  }
  const { maxBindingBytes, maxBufferBytes } = await buffersOf(device, info);
  return new Gpu(device, {
    ...info,
    subgroupSize,
    convertsF16: options.f16Conversions !== false && await convertsF16(device),
    maxBindingBytes: Math.min(maxBindingBytes, options.maxBindingBytes ?? Infinity),
    maxBufferBytes,
  });
}

/** Whether a device's compiler takes WGSL's conversions of f16. */
async function convertsF16(device: GPUDevice): Promise<boolean> {
  device.pushErrorScope("validation");
  device.createShaderModule({
    label: "conversion of f16",
    code: "fn converted(v: vec2f) -> u32 { return pack2x16float(v); }",
  });
  return await device.popErrorScope() === null;
}

/** A buffer that a GPU should have room for, and the largest that are made where it says that it has not. */
const [USUAL_BYTES, SMALL_BYTES] = [256 << 20, 64 << 20];

/**
 * How large a device's buffers may be in truth. On Vulkan wgpu 29 refuses a buffer for which one of the GPU's heaps has no
 * room, though it would lie in another (denoland/deno#35195, gfx-rs/wgpu#9206). On a graphics card without Resizable BAR one
 * has 256 MB, in which what is written to buffers lies on its way too: 67 MB of it.
 */
export async function buffersOf(
  device: GPUDevice,
  { isSoftware, maxBindingBytes, maxBufferBytes }: DeviceInfo,
): Promise<Pick<DeviceInfo, "maxBindingBytes" | "maxBufferBytes">> {
  if (isSoftware || maxBufferBytes <= SMALL_BYTES) return { maxBindingBytes, maxBufferBytes };
  device.pushErrorScope("out-of-memory");
  const size = Math.min(USUAL_BYTES, maxBufferBytes);
  const buffer = device.createBuffer({
    label: "a usual buffer",
    size,
    usage: GPUBufferUsage.STORAGE,
  });
  const refused = await device.popErrorScope();
  buffer.destroy();
  if (!refused) return { maxBindingBytes, maxBufferBytes };
  return { maxBindingBytes: Math.min(SMALL_BYTES, maxBindingBytes), maxBufferBytes: SMALL_BYTES };
}

function nameOf(adapter: GPUAdapter): string {
  return adapter.info.description || adapter.info.device || adapter.info.vendor || "unnamed device";
}

/**
 * What is known of a device's subgroups.
 *
 * @param name The device's name.
 * @param least The smallest size that its driver tells; 0 if none.
 * @param most The largest.
 */
export function subgroupsOf(
  name: string,
  least: number,
  most: number,
): Pick<DeviceInfo, "subgroupSize" | "subgroupVaries"> {
  if (least < 4 || least > most || most > 128) return { subgroupSize: null, subgroupVaries: false };
  // wgpu tells 4 to 64 on Metal, whatever the GPU. Apple's own have SIMD groups of 32.
  if (/^Apple /.test(name) && least <= 32 && most >= 32) least = 32;
  return { subgroupSize: least, subgroupVaries: least < most };
}

function infoOf(adapter: GPUAdapter): DeviceInfo {
  const info = adapter.info as GPUAdapterInfo & {
    subgroupMinSize?: number;
    subgroupMaxSize?: number;
  };
  const name = nameOf(adapter);
  return {
    name,
    isSoftware: /llvmpipe|swiftshader/i.test(name),
    ...subgroupsOf(name, info.subgroupMinSize ?? 0, info.subgroupMaxSize ?? 0),
    hasF16: adapter.features.has("shader-f16"),
    convertsF16: true, // the device is asked when it is open
    maxBindingBytes: wholeRegions(adapter.limits.maxStorageBufferBindingSize),
    maxBufferBytes: wholeRegions(adapter.limits.maxBufferSize),
  };
}
