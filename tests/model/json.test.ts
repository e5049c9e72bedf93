import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { DittoError, show } from "../../model/errors.ts";
import { duplicateKey, parseJson, readJson } from "../../model/json.ts";
import { random as randomBelow } from "../decode/buffers.ts";
import { TempDir } from "./tiny_checkpoint.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("duplicateKey() finds a key that an object has twice", () => {
  const cases: [string, string | null][] = [
    ["{}", null],
    ['{"a":1,"a":2}', "a"],
    ['{"a" \n: 1, "\\u0061":2}', "a"],
    ['{"a":{"a":{"a":1}},"b":{"a":1}}', null],
    ['[{"a":1},{"a":1}]', null],
    ['{"a":["b","b"],"b":"a"}', null],
    ['{"x":{"y":1,"z":[{"y":1,"y":1}]}}', "y"],
    ['{"a\\"":1,"a":":","a\\\\":"\\"{"}', null],
    ['{"":1,"":2}', ""],
    ['"a"', null],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
  ];
  for (const [text, expected] of cases) assertEquals(duplicateKey(text), expected, text);
});

Deno.test("duplicateKey() finds nothing in what JSON.stringify writes", () => {
  const random = randomBelow(1);
  const value = (depth: number): unknown => {
    const kind = random(depth > 3 ? 3 : 5);
    if (kind === 0) return random(100);
    if (kind <= 2) return ['"', "\\", "a:", "{", "}", '\\"', ":", "é"][random(8)];
    const items = Array.from({ length: random(4) }, () => value(depth + 1));
    if (kind === 3) return items;
    return Object.fromEntries(items.map((item, i) => [`${['"', "\\", ":"][random(3)]}${i}`, item]));
  };
  for (let i = 0; i < 500; i++) {
    const text = JSON.stringify(value(0), null, random(2));
    assertEquals(duplicateKey(text), null, text);
    const twice = `{"k":1,"v":${text},"k":2}`;
    assertEquals(duplicateKey(twice), "k", twice);
  }
});

Deno.test("parseJson() says what is wrong with a text", () => {
  const message = (input: Uint8Array) =>
    assertThrows(() => parseJson(input, "The file"), DittoError).message;
  assertStringIncludes(message(Uint8Array.of(0x22, 0xff, 0x22)), "The file is not valid UTF-8");
  assertStringIncludes(message(bytes("\ufeff{}")), "The file is not valid JSON");
  assertStringIncludes(message(bytes('{"a":NaN}')), "The file is not valid JSON");
  assertStringIncludes(message(bytes("")), "The file is not valid JSON");
  assertStringIncludes(message(bytes('{"a":1,"a":1}')), 'The file has the name "a" twice');
  assertEquals(parseJson(bytes(' {"a":[1]} '), "The file"), { a: [1] });
});

Deno.test("show() cuts what is long, and shows what JSON cannot by its kind", () => {
  assertEquals(show({ a: [1, null] }), '{"a":[1,null]}');
  assertEquals([show(NaN), show(undefined), show(1n)], ["NaN", "undefined", "a bigint"]);
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  assertEquals(show(circular), "an object");
  assertEquals(show("x".repeat(100)).length, 78);
});

Deno.test("readJson() tells a missing file from an unreadable one", async () => {
  await using dir = await new TempDir().write({ "a.json": "[1]" });
  assertEquals(await readJson(`${dir.path}/a.json`), [1]);
  assertEquals(await readJson(`${dir.path}/b.json`), undefined);
  await Deno.mkdir(`${dir.path}/c.json`);
  await assertRejects(() => readJson(`${dir.path}/c.json`), DittoError, "is not a regular file");
});
