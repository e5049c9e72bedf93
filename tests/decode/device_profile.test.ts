import { assert, assertEquals, assertRejects } from "@std/assert";
import { measureProfile } from "../../decode/device_profile.ts";
import { type DeviceInfo, Gpu } from "../../kernels/device.ts";
import { openGpu } from "../../kernels/open_gpu.ts";
import { Compiler } from "../../kernels/compiler.ts";
import { defaultProfile, isProfile, type Profile, profileChoices } from "../../kernels/profile.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { Forward } from "../../model/forward.ts";
import { layOutWeights } from "../../model/layout.ts";
import { dimensions } from "../../model/memory.ts";
import { loadWeights } from "../../model/weights.ts";
import { GpuSpy } from "../gpu_spy.ts";

const info = (
  isSoftware: boolean,
  subgroupSize: number | null,
  subgroupVaries = false,
): DeviceInfo => ({
  name: "a device",
  isSoftware,
  hasF16: false,
  convertsF16: true,
  subgroupSize,
  subgroupVaries,
  maxBindingBytes: 1 << 27,
  maxBufferBytes: 1 << 28,
});

async function loadTiny(gpu: Gpu) {
  using checkpoint = await openCheckpoint(new URL("../fixtures/tiny-gqa-bf16", import.meta.url));
  const { config, tensors } = checkpoint;
  const layout = layOutWeights(config, (tensor) => tensors.get(tensor)!.dtype, 1 << 27);
  return { config, weights: await loadWeights(gpu, checkpoint, layout) };
}

Deno.test("a profile is one of the choices that the device has", () => {
  for (const subgroupSize of [null, 4, 8, 16, 32, 64, 128]) {
    for (const isSoftware of [false, true]) {
      const device = info(isSoftware, subgroupSize);
      const profile = defaultProfile(device);
      assert(isProfile(profile, device));
      const { threads } = profileChoices(device);
      assert(threads.every((count) => count % (subgroupSize ?? 8) === 0 && count <= 256));
      const wrong = [null, 7, "", [], {}, { ...profile, threads: 7 }, { ...profile, spread: "2" }];
      for (const value of wrong) assert(!isProfile(value, device), JSON.stringify(value));
    }
  }
  for (const lanes of [4, 8]) {
    assertEquals(profileChoices(info(true, lanes)).promptProduct, ["lanes"]);
    assertEquals(profileChoices(info(true, lanes)).threads, [lanes]);
    // A GPU reads buffers; a CPU's vectors may read textures faster.
    assertEquals(profileChoices(info(true, lanes)).weightStorage, ["texture", "buffer"]);
  }
  assertEquals(defaultProfile(info(false, 32)).promptProduct, "tiles");
  assertEquals(profileChoices(info(true, 16)).promptProduct, ["tiles"]);
  // Its lanes talk to each other by number, so a subgroup must have eight.
  assertEquals(profileChoices(info(false, 8)).promptProduct, ["tiles", "lowTiles", "lanes"]);
  for (const lanes of [8, 16]) {
    assertEquals(profileChoices(info(false, lanes, true)).promptProduct, ["lowTiles", "tiles"]);
  }
  assertEquals(profileChoices(info(false, 32, true)).promptProduct, ["tiles", "lowTiles"]);
  for (const [isSoftware, lanes] of [[false, 4], [false, 32], [true, 16], [true, null]] as const) {
    assertEquals(profileChoices(info(isSoftware, lanes)).weightStorage, ["buffer"]);
  }
});

Deno.test("measureProfile() times every choice of a GPU, and leaves no buffer behind", async () => {
  const software = await openGpu();
  // As if it were none, so that there is something to choose.
  using gpu = new Gpu(software.device, { ...software.info, isSoftware: false });
  const { config, weights } = await loadTiny(gpu);
  const d = dimensions(config, 300, "f32");
  const profiles: Profile[] = [];
  class Spy extends Compiler {
    override withProfile(profile: Profile): Compiler {
      profiles.push(profile);
      // The kernels of the default every time: compiling all of them takes minutes on some drivers, and the tests of
      // kernels see to it that they are the same to the bit.
      return super.withProfile(this.profile);
    }
  }
  using spy = new GpuSpy();
  gpu.device.pushErrorScope("validation");
  const profile = await measureProfile(gpu, new Spy(gpu), config, weights, d);
  assert(spy.buffers.length > 0);
  assertEquals(spy.aliveBuffers.size, 0);
  const over = AbortSignal.abort(new Error("enough")); // seen where the first kernel would be compiled
  const again = () => measureProfile(gpu, new Spy(gpu), config, weights, d, over);
  await assertRejects(again, Error, "enough");
  assertEquals(spy.aliveBuffers.size, 0);
  assertEquals(await gpu.device.popErrorScope(), null);
  if (profile === null) {
    assert(!gpu.device.features.has("timestamp-query"));
    return;
  }
  assert(isProfile(profile, gpu.info));
  for (const [name, choices] of Object.entries(profileChoices(gpu.info))) {
    for (const value of choices) {
      assert(profiles.some((tried) => tried[name as keyof Profile] === value), `${name} ${value}`);
    }
  }
});

Deno.test("measureProfile() takes what is faster, and leaves what is hardly so", async () => {
  const software = await openGpu();
  using gpu = new Gpu(software.device, { ...software.info, isSoftware: false });
  if (!gpu.device.features.has("timestamp-query")) return;
  const { config, weights } = await loadTiny(gpu);
  const start = defaultProfile(gpu.info);
  let tried = start;
  class Spy extends Compiler {
    override withProfile(profile: Profile): Compiler {
      tried = profile;
      return super.withProfile(start);
    }
  }
  // A clock that says so.
  gpu.read = () => {
    const isSlow = tried.promptProduct !== start.promptProduct;
    const factor = (tried.rowsTogether === 16 ? 0.9 : 1) *
      (tried.spread === 8 ? 0.8 : 1) *
      (tried.piecesTogether === 4 ? 0.97 : 1) * (isSlow ? 1.1 : 1);
    const stamps = Array.from({ length: 100 }, (_, run) => {
      const isPlain = run % 3 === 0; // of passes of 1, 8 and 16 rows
      return [0, Math.round(1e6 * factor * (tried.quadsTogether === 1 ? isPlain ? 1.05 : 0.5 : 1))];
    }).flat();
    return Promise.resolve(BigUint64Array.from(stamps.map(BigInt)).buffer);
  };
  const d = dimensions(config, 300, "f32");
  const profile = await measureProfile(gpu, new Spy(gpu), config, weights, d);
  assertEquals(profile, { ...start, rowsTogether: 16, spread: 8 });
});

Deno.test("measureProfile() gives a slow GPU a few rows of a prompt at a time", async () => {
  const software = await openGpu();
  using gpu = new Gpu(software.device, { ...software.info, isSoftware: false });
  if (!gpu.device.features.has("timestamp-query")) return;
  const { config, weights } = await loadTiny(gpu);
  class Spy extends Compiler {
    override withProfile(): Compiler {
      return super.withProfile(this.profile);
    }
  }
  const d = dimensions(config, 130, "f32", "f32", 128);
  const { encode, promptDispatches } = Forward.prototype;
  for (const [milliseconds, most] of [[140, 128], [160, 64]] as const) {
    const rows: number[] = [];
    Forward.prototype.promptDispatches = function (ids, position) {
      rows.push(ids.length);
      return promptDispatches.call(this, ids, position);
    };
    Forward.prototype.encode = () => {}; // decoding passes are timed too, which takes its time
    // A clock that says what 64 rows take, whatever ran.
    const stamps = Array.from({ length: 100 }, (_, i) => BigInt(i % 2 * milliseconds * 1e6));
    gpu.read = () => Promise.resolve(BigUint64Array.from(stamps).buffer);
    try {
      assert(await measureProfile(gpu, new Spy(gpu), config, weights, d));
    } finally {
      Object.assign(Forward.prototype, { encode, promptDispatches });
    }
    assertEquals(Math.max(...rows), most, `${milliseconds} ms for 64 rows`);
  }
});

Deno.test("measureProfile() puts a CPU's weights where its head is faster", async () => {
  const software = await openGpu();
  // As if its subgroups were a CPU's vectors; nothing looks at what the kernels compute.
  const vectors = { isSoftware: true, subgroupSize: 8, subgroupVaries: false };
  using gpu = new Gpu(software.device, { ...software.info, ...vectors });
  if (!gpu.device.features.has("timestamp-query") || !gpu.device.features.has("subgroups")) return;
  const { config, weights } = await loadTiny(gpu);
  const d = dimensions(config, 300, "f32");
  const start = defaultProfile(gpu.info);
  assertEquals(start.weightStorage, "texture");
  using spy = new GpuSpy();
  for (
    const [slower, expected] of [[1.2, "texture"], [0.98, "texture"], [0.9, "buffer"]] as const
  ) {
    // A clock that says what a buffer takes in times of a texture, which has its turn first.
    gpu.read = () => {
      const stamps = Array.from({ length: 100 }, () => [0, 1e6, 0, 1e6 * slower]).flat().map(
        BigInt,
      );
      return Promise.resolve(BigUint64Array.from(stamps).buffer);
    };
    const profile = await measureProfile(gpu, new Compiler(gpu), config, weights, d);
    assertEquals(profile, { ...start, weightStorage: expected });
    assertEquals(spy.aliveBuffers.size + spy.aliveTextures.size, 0);
  }
});
