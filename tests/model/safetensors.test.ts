import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DittoError } from "../../model/errors.ts";
import { PositionedFile } from "../../model/positioned_file.ts";
import { encodeHeader, parseHeader, readHeader } from "../../model/safetensors.ts";
import { random as randomBelow } from "../decode/buffers.ts";
import { safetensorsFile, TempDir, tinyTensors, withHeader } from "./tiny_checkpoint.ts";

/** The entry of a tensor in a header. */
const entry = (dtype: unknown, shape: unknown, ...data_offsets: unknown[]) => ({
  dtype,
  shape,
  data_offsets,
});

/** Parses a header as if `dataBytes` bytes followed it. */
function parse(header: unknown, dataBytes: number) {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const bytes = new TextEncoder().encode(text);
  return parseHeader(bytes, 8 + bytes.length + dataBytes, "w.safetensors");
}

function assertRefused(header: unknown, dataBytes: number, ...parts: string[]): void {
  const error = assertThrows(() => parse(header, dataBytes), DittoError);
  for (const part of ["w.safetensors", ...parts]) assertStringIncludes(error.message, part);
}

Deno.test("parseHeader() finds tensors in the order of their data", () => {
  const header = {
    b: entry("F32", [2], 4, 12),
    __metadata__: { format: "pt" },
    a: entry("BF16", [2, 1], 0, 4),
    empty: entry("F16", [3, 0], 4, 4),
    number: entry("I64", [], 12, 20),
  };
  const start = 8 + JSON.stringify(header).length;
  assertEquals([...parse(header, 20).values()], [
    { name: "a", dtype: "BF16", shape: [2, 1], byteOffset: start, byteLength: 4 },
    { name: "empty", dtype: "F16", shape: [3, 0], byteOffset: start + 4, byteLength: 0 },
    { name: "b", dtype: "F32", shape: [2], byteOffset: start + 4, byteLength: 8 },
    { name: "number", dtype: "I64", shape: [], byteOffset: start + 12, byteLength: 8 },
  ]);
  assertEquals(parse("{}", 0).size, 0);
  assertEquals(parse("{}     ", 0).size, 0); // padding, which aligns the data
  assertEquals([...parse({ ["__proto__"]: entry("U8", [1], 0, 1) }, 1).keys()], ["__proto__"]);
});

Deno.test("encodeHeader() writes what parseHeader() reads, and data that begin at a multiple of 8", () => {
  for (let length = 1; length <= 9; length++) {
    const name = "é".repeat(length); // of two bytes each
    for (const names of [[name], [name, "a"]]) {
      const entries = names.map((name, i) => [name, entry("BF16", [1, 3], 6 * i, 6 * i + 6)]);
      const bytes = encodeHeader(Object.fromEntries(entries));
      assertEquals(bytes.length % 8, 0, `the data of ${names} begin at byte ${bytes.length}`);
      const size = new DataView(bytes.buffer).getBigUint64(0, true);
      assertEquals(size, BigInt(bytes.length - 8));
      const read = parseHeader(bytes.subarray(8), bytes.length + 6 * names.length, "w.safetensors");
      assertEquals([...read.keys()], names);
      assertEquals(read.get(name)!.byteOffset, bytes.length);
    }
  }
});

Deno.test("parseHeader() refuses offsets that lie", () => {
  const f32 = (...offsets: unknown[]) => entry("F32", [1], ...offsets);
  assertRefused({ a: f32(0, 4) }, 3, '"a"', "after the end of the file");
  assertRefused({ a: f32(0, 4) }, 5, "its tensors end at");
  assertRefused({ a: f32(0, 4), b: f32(0, 4) }, 4, '"b"', "overlap");
  assertRefused({ a: f32(0, 4), b: f32(2, 6) }, 6, '"b"', "overlap");
  assertRefused({ a: f32(0, 4), b: f32(8, 12) }, 12, '"b"', "hole");
  assertRefused({ a: f32(4, 8) }, 8, '"a"', "hole");
  assertRefused({ a: f32(4, 0) }, 4, '"a"', "data_offsets");
  for (const bad of [[], [0], [0, 4, 8], [-4, 0], [0, 4.5], [null, 4], ["0", 4], [true, 4]]) {
    assertRefused({ a: f32(...bad) }, 4, '"a"', "data_offsets");
  }
  assertRefused('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9007199254740993]}}', 4, '"a"');
  assertRefused('{"a":{"dtype":"F32","shape":[1],"data_offsets":{"length":2}}}', 4, '"a"');
  assertRefused('{"a":{"dtype":"F32","shape":[1]}}', 4, '"a"', "data_offsets");
});

Deno.test("parseHeader() refuses shapes and dtypes that do not fit", () => {
  assertRefused({ a: entry("F32", [2], 0, 4) }, 4, '"a"', "does not fit", "[2]", "4 bytes");
  assertRefused({ a: entry("F32", [], 0, 8) }, 8, '"a"', "does not fit");
  assertRefused({ a: entry("F4", [1], 0, 1) }, 1, '"a"', "does not fit");
  const huge = [2 ** 52, 2 ** 52, 2 ** 52];
  assertRefused({ a: entry("F32", huge, 0, 4) }, 4, '"a"', "does not fit");
  assertRefused({ a: entry("U8", [...huge, 0], 0, 0) }, 0, '"a"', "does not fit");
  assertRefused({ a: entry("U8", new Array(1e5).fill(2 ** 53 - 1), 0, 1) }, 1, '"a"');
  for (const shape of [null, "1", [-1], [1.5], ["1"], [[1]], { 0: 1 }, [2 ** 53]]) {
    assertRefused({ a: entry("U8", shape, 0, 1) }, 1, '"a"', "shape");
  }
  for (const dtype of ["F31", "f32", "", null, 7, ["F32"], "constructor"]) {
    assertRefused({ a: entry(dtype, [1], 0, 4) }, 4, '"a"', "dtype");
  }
});

Deno.test("parseHeader() refuses headers that are no object, and names that come twice", () => {
  for (const text of ["", "[]", "null", "7", '"x"', "{", '{"a":}', " {}", "\ufeff{}"]) {
    assertRefused(text, 0);
  }
  for (const value of [null, 1, "x", []]) {
    assertRefused({ a: value }, 0, '"a"', "must be an object");
  }
  const a = JSON.stringify(entry("U8", [1], 0, 1));
  assertRefused(`{"a":${a},"a":${a}}`, 1, '"a"', "twice");
  assertRefused(`{"a":${a},"\\u0061":${a}}`, 1, '"a"', "twice");
  assertRefused('{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1, "twice");
  const error = assertThrows(
    () => parseHeader(Uint8Array.of(0x7b, 0x22, 0xc3, 0x22, 0x7d), 13, "w.safetensors"),
    DittoError,
  );
  assertStringIncludes(error.message, "UTF-8");
  const deep = `{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}`;
  assertRefused(deep, 0, '"a"');
});

/** Reads the header of a file with these bytes; the message if it is refused. */
async function outcome(dir: TempDir, bytes: Uint8Array): Promise<string | null> {
  await dir.write({ "w.safetensors": bytes });
  using file = await PositionedFile.open(`${dir.path}/w.safetensors`);
  try {
    const entries = await readHeader(file);
    let end = bytes.length;
    for (const { byteOffset, byteLength } of [...entries.values()].reverse()) {
      assertEquals(byteOffset + byteLength, end);
      end = byteOffset;
    }
    return null;
  } catch (error) {
    assert(error instanceof DittoError, `${error}`);
    return error.message;
  }
}

Deno.test("readHeader() refuses files that are too short for what they announce", async () => {
  await using dir = new TempDir();
  assertStringIncludes(await outcome(dir, new Uint8Array(0)) ?? "", "has 0 bytes");
  assertStringIncludes(await outcome(dir, new Uint8Array(7)) ?? "", "has 7 bytes");
  assertStringIncludes(await outcome(dir, new Uint8Array(8)) ?? "", "JSON");
  const announce = (length: bigint) => {
    const bytes = new Uint8Array(100);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return bytes;
  };
  assertStringIncludes(await outcome(dir, announce(93n)) ?? "", "93 bytes, but the file ends at");
  assertStringIncludes(await outcome(dir, announce(100_000_001n)) ?? "", "not allowed");
  assertStringIncludes(await outcome(dir, announce(2n ** 64n - 1n)) ?? "", "not allowed");
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  assertStringIncludes(await outcome(dir, new TextEncoder().encode(pointer)) ?? "", "git lfs pull");
  const whole = safetensorsFile(tinyTensors());
  assertEquals(await outcome(dir, whole), null);
  assertStringIncludes(await outcome(dir, whole.subarray(0, -1)) ?? "", "truncated");
});

Deno.test("readHeader() loads or refuses every damaged file, and never breaks", async () => {
  await using dir = new TempDir();
  const whole = safetensorsFile(tinyTensors().slice(0, 3));
  const headerEnd = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true));
  const random = randomBelow(2);
  const ascii = '0123456789-.eE"{}[]:,\\ufaB';
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    let bytes: Uint8Array = whole.slice();
    for (let edit = random(3); edit >= 0; edit--) {
      const at = random(4) === 0 ? random(8) : 8 + random(headerEnd - 8);
      const kind = random(4);
      if (kind === 0) bytes[at] = random(256);
      else if (kind === 1) bytes[at] = ascii.charCodeAt(random(ascii.length));
      else if (kind === 2) bytes = bytes.slice(0, random(bytes.length + 1));
      else bytes = withHeader(splice(bytes.subarray(8, headerEnd), random), whole.slice(headerEnd));
    }
    if (await outcome(dir, bytes) !== null) refused++;
  }
  assert(refused > 1500, `${refused} of 2000 were refused`);
});

/** Copies one piece of a text over another place, so that it stays nearly JSON. */
function splice(text: Uint8Array, random: (n: number) => number): Uint8Array {
  const result = [...text];
  const from = random(text.length);
  const piece = text.subarray(from, from + random(40));
  result.splice(random(result.length), random(40), ...piece);
  return Uint8Array.from(result);
}
