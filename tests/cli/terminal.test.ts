import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { paint, tame } from "../../cli/terminal.ts";

Deno.test("paint() colours a text, and neighbouring passes differently", () => {
  assertEquals(paint("", 3), "");
  // deno-lint-ignore no-control-regex
  const codes = /\x1b\[\d+m/g;
  for (let pass = 0; pass < 20; pass++) {
    assertNotEquals(paint("a", pass), paint("a", pass + 1));
    assertEquals(paint("a b\n\nc", pass).replace(codes, ""), "a b\n\nc");
  }
});

Deno.test("paint() ends the colour before the end of a line", () => {
  for (const line of paint("one\ntwo\n", 0).split("\n")) {
    assert(line === "" || line.endsWith("\x1b[0m"), line);
  }
});

Deno.test("tame() lets no control character through but tabs and newlines", () => {
  assertEquals(tame("a\tb\nc ä 日 😀"), "a\tb\nc ä 日 😀");
  assertEquals(tame("\x1b[2J\x07\r\x7f\x9b"), "␛[2J␇␍␡\ufffd");
});
