/**
 * Run before a program (`deno run --preload`), takes its GPU device away when the process is sent SIGUSR2.
 *
 * @module
 */
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  const device = await requestDevice.call(this, descriptor);
  Deno.addSignalListener("SIGUSR2", () => device.destroy());
  return device;
};
