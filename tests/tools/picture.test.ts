import { assertEquals } from "@std/assert";
import { picture } from "../../tools/picture.ts";

Deno.test("README's picture shows what the model in the box does", async () => {
  const file = new URL("../../demo/rename.svg", import.meta.url);
  assertEquals(await Deno.readTextFile(file), `${await picture()}\n`);
});
