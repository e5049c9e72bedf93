/**
 * The list of devices, and what to know about their drivers.
 *
 * @module
 */
import { DittoError, listDevices } from "../mod.ts";
import { bytesText } from "./figures.ts";

/**
 * The WebGPU devices, one a line, the one that is used first.
 *
 * @throws {DittoError} If there is none.
 */
export async function devicesText(): Promise<string> {
  const devices = await listDevices();
  if (devices.length === 0) {
    throw new DittoError(
      "No WebGPU device was found: install the GPU's Vulkan driver, or Mesa's software driver (on " +
        "Debian and Ubuntu: apt-get install mesa-vulkan-drivers).",
      { code: "device" },
    );
  }
  return devices.map((device) => {
    const { subgroupSize, maxBindingBytes, maxBufferBytes } = device;
    const orMore = device.subgroupVaries ? " or more" : "";
    const facts = [
      device.isSoftware ? "software" : "hardware",
      subgroupSize === null ? "no subgroups" : `subgroups of ${subgroupSize}${orMore}`,
      `buffers up to ${bytesText(maxBufferBytes)}, seen ${bytesText(maxBindingBytes)} at a time`,
    ];
    return `${device.name}: ${facts.join(", ")}\n`;
  }).join("");
}

/** Mesa's drivers print an error while this variable is not set; it does not matter otherwise. */
export function quietDrivers(): void {
  if (Deno.build.os !== "linux" || Deno.env.get("XDG_RUNTIME_DIR")) return;
  Deno.env.set("XDG_RUNTIME_DIR", Deno.env.get("TMPDIR") || "/tmp");
}

/**
 * A sentence for the user if Deno found no Vulkan driver and took OpenGL instead: answers are right there,
 * but Mesa's software driver compiles the kernels for minutes when it first sees them. WebGPU does not name
 * the backend; this limit, which wgpu's OpenGL backend alone leaves open, tells.
 */
export async function slowDriverNote(): Promise<string | null> {
  if (Deno.build.os !== "linux") return null;
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (adapter?.limits.maxBindingsPerBindGroup !== 2 ** 32 - 1) return null;
  return "No Vulkan driver was found, so this runs on OpenGL: it is slower, and the first time it may " +
    "take minutes to start. Install the GPU's Vulkan driver, or Mesa's software driver (on Debian " +
    "and Ubuntu: apt-get install mesa-vulkan-drivers).";
}
