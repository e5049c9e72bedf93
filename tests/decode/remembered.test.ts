import { assert, assertEquals } from "@std/assert";
import { Remembered } from "../../decode/remembered.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";

const isNumber = (value: unknown): value is number => typeof value === "number";

/** Runs `body` with a directory that may become a cache. */
async function inCache(body: (directory: string) => Promise<void>): Promise<void> {
  await using temporary = new TempDir();
  await body(`${temporary.path}/cache`);
}

Deno.test("what was measured is kept for its key, and only for that", () =>
  inCache(async (directory) => {
    const place = await Remembered.at("a device", isNumber, directory);
    assert(await place.isWritable());
    assertEquals(Array.from(Deno.readDirSync(directory)), []);
    assertEquals(await place.get(), null);
    await place.set(7);
    assertEquals(await place.get(), 7);
    assertEquals(await (await Remembered.at("a device", isNumber, directory)).get(), 7);
    assertEquals(await (await Remembered.at("another device", isNumber, directory)).get(), null);
  }));

Deno.test("a cache that holds something else, or cannot be written, is done without", () =>
  inCache(async (directory) => {
    const place = await Remembered.at("a device", isNumber, directory);
    await place.set(7);
    const [file] = Array.from(Deno.readDirSync(directory), ({ name }) => `${directory}/${name}`);
    for (const text of ["", "{", '"7"', "null"]) {
      await Deno.writeTextFile(file!, text);
      assertEquals(await place.get(), null);
    }
    await Deno.remove(directory, { recursive: true });
    await Deno.writeTextFile(directory, "a file where the directory should be");
    await place.set(8);
    assertEquals(await place.get(), null);
    assertEquals(await place.isWritable(), false);
  }));

Deno.test("several models of one process may keep what they measured at once", () =>
  inCache(async (directory) => {
    const kept = await Promise.all(Array.from({ length: 20 }, async (_, i) => {
      const place = await Remembered.at("a device", isNumber, directory);
      const isWritable = await place.isWritable();
      await place.set(i);
      return isWritable && await place.get() !== null;
    }));
    assert(kept.every(Boolean), `${kept}`);
    assertEquals(Array.from(Deno.readDirSync(directory)).length, 1);
  }));

Deno.test(
  {
    name: "what could be written and not be read is not kept, nor measured for it",
    permissions: { read: false, write: true },
  },
  () =>
    inCache(async (directory) => {
      const place = await Remembered.at("a device", isNumber, directory);
      assertEquals(await place.isWritable(), false);
    }),
);
