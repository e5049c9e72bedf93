/**
 * Conversions of f16 where WGSL's own are refused (lib/f16_computed.wgsl), against Float16Array.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import builtin from "../../kernels/lib/f16_builtin.wgsl" with { type: "text" };
import computed from "../../kernels/lib/f16_computed.wgsl" with { type: "text" };
import { seeded } from "../random.ts";
import { bits, Harness, poisoned, poisonedFloats } from "./harness.ts";

const harness = await Harness.open();
Deno.test.afterAll(() => harness[Symbol.dispose]());

const UNPACK = `
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> numbers: array<vec2f>;

@compute @workgroup_size(256)
fn unpack_all(@builtin(global_invocation_id) thread: vec3u) {
  numbers[thread.x] = unpack_f16(words[thread.x]);
}
`;

const PACK = `
@group(0) @binding(0) var<storage, read> numbers: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;

@compute @workgroup_size(256)
fn pack_all(@builtin(global_invocation_id) thread: vec3u) {
  words[thread.x] = pack_f16(numbers[thread.x]);
}
`;

const HALVES = Uint16Array.from({ length: 65536 }, (_, code) => code);

const texts = harness.gpu.info.convertsF16 ? { builtin, computed } : { computed };
for (const [name, text] of Object.entries(texts)) {
  Deno.test(`f16, ${name}: every half is read exactly`, async () => {
    const words = new Uint32Array(HALVES.buffer);
    const numbers = poisonedFloats(2 * words.length);
    const kernel = harness.kernelOf(text + UNPACK, "unpack_all");
    const workgroups = [words.length / 256] as const;
    await harness.run([{ kernel, bindings: [words, numbers], workgroups }], [numbers]);
    new Float16Array(HALVES.buffer).forEach((half, code) => {
      const found = numbers[code]!;
      assert(Object.is(found, half), `0x${code.toString(16)} is ${half}, and was read as ${found}`);
    });
  });
}

Deno.test(
  "f16, computed: numbers are rounded as IEEE 754 says",
  seeded(async (random) => {
    // Every half that is a number, what lies halfway to the next, and their neighbours; then words at random.
    const halves = Float32Array.from(new Float16Array(HALVES.buffer)).filter(Number.isFinite);
    const middles = halves.map((half) => half + Math.sign(half) * spacing(half) / 2);
    const exact = Float32Array.from([...halves, ...middles, 2 ** -25, -(2 ** -25)]);
    const words = bits(exact);
    const numbers = new Float32Array(
      Uint32Array.from([
        ...words,
        ...words.map((word) => word + 1),
        ...words.map((word) => word - 1),
        ...Uint32Array.from({ length: 65536 }, () => random.below(2 ** 32)),
        ...bits(Float32Array.of(0, -0, Infinity, -Infinity, NaN, 2 ** -149, -(2 ** -126), 65536)),
      ]).buffer,
    );
    const padded = new Float32Array(Math.ceil(numbers.length / 512) * 512);
    padded.set(numbers);
    const found = poisoned(padded.length / 2);
    const kernel = harness.kernelOf(computed + PACK, "pack_all");
    const workgroups = [found.length / 256] as const;
    await harness.run([{ kernel, bindings: [padded, found], workgroups }], [found]);
    const packed = new Uint16Array(found.buffer);
    const expected = new Uint16Array(Float16Array.from(padded).buffer);
    padded.forEach((number, i) => {
      const [a, b] = [packed[i]!, expected[i]!];
      if (Number.isNaN(number)) assert((a & 0x7fff) > 0x7c00, `no number became ${hex(a)}`);
      else assertEquals(hex(a), hex(b), `${number} became ${hex(a)}, and should be ${hex(b)}`);
    });
  }),
);

Deno.test("no kernel but f16_builtin.wgsl calls WGSL's own conversions", async () => {
  const kernels = new URL("../../kernels/", import.meta.url);
  const calling: string[] = [];
  for (const directory of ["", "lib/", "prompt/", "tree/"]) {
    for await (const { name } of Deno.readDir(new URL(directory, kernels))) {
      if (!name.endsWith(".wgsl")) continue;
      const text = await Deno.readTextFile(new URL(directory + name, kernels));
      if (/2x16float|quantizeToF16/.test(text)) calling.push(directory + name);
    }
  }
  assertEquals(calling, ["lib/f16_builtin.wgsl"]);
});

/** How far the half behind this one is. */
function spacing(half: number): number {
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(half))), -14) - 10);
}

function hex(half: number): string {
  return `0x${half.toString(16)}`;
}
