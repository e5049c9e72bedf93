import { SafeTensor } from "safetensors";
import type { FloatType } from "../kernels/weight_types.ts";
import { DittoError, POINTER, pointerError, show } from "./errors.ts";
import { isObject, parseJson } from "./json.ts";
import type { PositionedFile } from "./positioned_file.ts";

/** Bits of one element, for every type the format knows. */
const DTYPE_BITS: Readonly<Record<SafetensorsDtype, number>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
};

/** An element type of the safetensors format. */
export type SafetensorsDtype =
  | `F${4 | 16 | 32 | 64}`
  | `${"I" | "U"}${8 | 16 | 32 | 64}`
  | "BOOL"
  | "BF16"
  | "C64"
  | "F6_E2M3"
  | "F6_E3M2"
  | "F8_E5M2"
  | "F8_E4M3"
  | "F8_E8M0";

/** What Ditto calls an element type that it computes with; null for the others. */
export function floatType(dtype: SafetensorsDtype): FloatType | null {
  if (dtype === "F8_E4M3") return "F8";
  return dtype === "BF16" || dtype === "F16" || dtype === "F32" ? dtype : null;
}

/** Where one tensor of a safetensors file lies, and what it is. */
export interface SafetensorsEntry {
  /** Its name, unique in the file. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: SafetensorsDtype;
  /** Outermost dimension first; empty for a single number. */
  readonly shape: readonly number[];
  /** First byte of the data, from the start of the file. */
  readonly byteOffset: number;
  /** Length of the data: elements times their size. */
  readonly byteLength: number;
}

/** Same limit as the reference implementation's. */
const MAX_HEADER_BYTES = 100_000_000;

/** What npm:safetensors (which brings no types) makes of a header. */
interface ParsedHeader {
  metadata: Map<string, Fields & { data_offsets: [number, number] }>;
}

/**
 * Reads the header of a safetensors file and checks it against the file. No tensor data is read.
 *
 * @returns The tensors by name, in the order of their data.
 * @throws {DittoError} If the header is not what the format demands: longer than the file, not UTF-8
 * or not JSON, a name twice, an unknown dtype, a shape that does not fit its bytes, data that
 * overlap, leave a hole, or do not end where the file ends.
 */
export async function readHeader(file: PositionedFile): Promise<Map<string, SafetensorsEntry>> {
  if (file.size < 8) {
    throw new DittoError(
      `${file.path} has ${file.size} bytes, too few for a safetensors file: it is empty or truncated.`,
    );
  }
  const prefix = new Uint8Array(8);
  await file.read(0, prefix);
  if (POINTER.startsWith(new TextDecoder().decode(prefix))) throw pointerError(file.path);
  const headerBytes = new DataView(prefix.buffer).getBigUint64(0, true);
  if (headerBytes > BigInt(MAX_HEADER_BYTES)) {
    throw new DittoError(
      `${file.path} announces a header of ${headerBytes} bytes; more than ${MAX_HEADER_BYTES} are ` +
        `not allowed: this is no safetensors file.`,
    );
  }
  if (8n + headerBytes > BigInt(file.size)) {
    throw new DittoError(
      `${file.path} announces a header of ${headerBytes} bytes, but the file ends at byte ` +
        `${file.size}: it is truncated, or no safetensors file.`,
    );
  }
  const header = new Uint8Array(Number(headerBytes));
  await file.read(8, header);
  return parseHeader(header, file.size, file.path);
}

/**
 * Checks a safetensors header: {@linkcode readHeader} without the file.
 *
 * @param header The header's JSON text, without the 8 bytes of length before it.
 * @param fileSize The length of the whole file in bytes.
 * @param path What to call the file in error messages.
 * @throws {DittoError} As {@linkcode readHeader}.
 */
export function parseHeader(
  header: Uint8Array,
  fileSize: number,
  path: string,
): Map<string, SafetensorsEntry> {
  const json = parseJson(header, `The header of ${path}`);
  if (!isObject(json) || header[0] !== 0x7b) {
    throw new DittoError(
      `The header of ${path} is not a JSON object: this is no safetensors file.`,
    );
  }
  const tensors = Object.entries(json).filter(([name]) => name !== "__metadata__")
    .map(([name, tensor]) => [name, checkFields(name, tensor, path)] as const);

  const dataStart = 8 + header.length;
  const entries = parseFields(Object.fromEntries(tensors)).map((entry): SafetensorsEntry => {
    checkSize(entry, path);
    return { ...entry, byteOffset: dataStart + entry.byteOffset };
  });
  entries.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkLayout(entries, dataStart, fileSize, path);
  return new Map(entries.map((entry) => [entry.name, entry]));
}

/** A tensor's fields in the header. */
interface Fields {
  dtype: SafetensorsDtype;
  shape: number[];
  /** Begin and end, from the start of the data. */
  data_offsets: number[];
}

/** Checks that every field has the right type: npm:safetensors takes all of them on trust. */
function checkFields(name: string, tensor: unknown, path: string): Fields {
  const fail = (problem: string): never => {
    throw new DittoError(`Cannot read tensor ${show(name)} of ${path}: ${problem}.`);
  };
  if (!isObject(tensor)) return fail(`its entry is ${show(tensor)} and must be an object`);
  const { dtype, shape, data_offsets: offsets } = tensor;
  if (!isDtype(dtype)) {
    return fail(`its dtype is ${show(dtype)}, which safetensors does not have`);
  }
  if (!isCounts(shape)) {
    return fail(`its shape is ${show(shape)} and must be an array of whole numbers`);
  }
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return fail(
      `its data_offsets are ${show(offsets)} and must be two whole numbers, begin and end`,
    );
  }
  return { dtype, shape, data_offsets: offsets };
}

function isDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === "string" && Object.hasOwn(DTYPE_BITS, value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

/**
 * Lets npm:safetensors read the tensors. It expects `data_offsets` in every entry and so fails on
 * `__metadata__`, which nearly every file has: it is given the header without.
 *
 * @returns The entries, `byteOffset` from the start of the data.
 */
function parseFields(tensors: Record<string, Fields>): SafetensorsEntry[] {
  const bytes = encodeHeader(tensors);
  const parsed: ParsedHeader = new SafeTensor(bytes);
  return [...parsed.metadata].map(([name, { dtype, shape, data_offsets: [begin, end] }]) => ({
    name,
    dtype,
    shape,
    byteOffset: begin - bytes.length,
    byteLength: end - begin,
  }));
}

function checkSize({ name, dtype, shape, byteLength }: SafetensorsEntry, path: string): void {
  // Step by step, because a product of lies may pass 2^53 and come out right by rounding.
  let bits = DTYPE_BITS[dtype];
  for (const size of shape) bits = Number.isSafeInteger(bits) ? bits * size : NaN;
  if (!Number.isSafeInteger(bits) || bits !== 8 * byteLength) {
    throw new DittoError(
      `Cannot read tensor ${show(name)} of ${path}: ${dtype} of shape ${
        show(shape)
      } does not fit ` +
        `the ${byteLength} bytes it is given.`,
    );
  }
}

/** Checks that the data, sorted by offset, cover the rest of the file: no overlap, no hole. */
function checkLayout(
  entries: readonly SafetensorsEntry[],
  dataStart: number,
  fileSize: number,
  path: string,
): void {
  let covered = dataStart;
  for (const { name, byteOffset, byteLength } of entries) {
    const end = byteOffset + byteLength;
    if (byteOffset !== covered) {
      const problem = byteOffset < covered ? "overlap with" : "leave a hole after";
      throw new DittoError(
        `Cannot read tensor ${show(name)} of ${path}: its data begin at byte ${byteOffset} and ` +
          `${problem} what ends at byte ${covered}.`,
      );
    }
    if (end > fileSize) {
      throw new DittoError(
        `Cannot read tensor ${
          show(name)
        } of ${path}: its data end at byte ${end}, after the end of ` +
          `the file at byte ${fileSize}. The file is truncated; download it again.`,
      );
    }
    covered = end;
  }
  if (covered !== fileSize) {
    throw new DittoError(
      `${path} has ${fileSize} bytes, but its tensors end at byte ${covered}: the file is damaged.`,
    );
  }
}

/**
 * What comes before the data in a safetensors file: the header's length, and the header, padded so that the
 * data begin at a multiple of 8, as the reference implementation has them.
 */
export function encodeHeader(entries: Readonly<Record<string, unknown>>): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  return bytes;
}
