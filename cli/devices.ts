/**
 * The list of devices.
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
    );
  }
  return devices.map(({ name, isSoftware, subgroupSize, maxBindingBytes, maxBufferBytes }) => {
    const facts = [
      isSoftware ? "software" : "hardware",
      subgroupSize === null ? "no subgroups" : `subgroups of ${subgroupSize}`,
      `buffers up to ${bytesText(maxBufferBytes)}, seen ${bytesText(maxBindingBytes)} at a time`,
    ];
    return `${name}: ${facts.join(", ")}\n`;
  }).join("");
}
