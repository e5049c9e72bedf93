import {
  assert,
  assertAlmostEquals,
  assertArrayIncludes,
  assertEquals,
  assertExists,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertIsError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  equal,
  fail,
  unreachable,
} from "../../std/assert/mod.ts";

/** The message with which an assertion fails, without colours. */
function failure(assertion: () => void): string {
  const { message } = assertThrows(assertion, AssertionError);
  // deno-lint-ignore no-control-regex
  return message.replaceAll(/\x1b\[\d+m/g, "");
}

Deno.test("equal() compares in depth", () => {
  const cycle = (): unknown => {
    const object: Record<string, unknown> = { list: [1] };
    object.self = object;
    return object;
  };
  class Point {
    constructor(readonly x: number) {}
  }
  const same: [unknown, unknown][] = [
    [NaN, NaN],
    [0, -0],
    [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }],
    [{ a: 1 }, Object.assign(Object.create(null), { a: 1 })],
    [new Float32Array([1, NaN, 0]), new Float32Array([1, NaN, -0])],
    [new Uint8Array([1, 2]).buffer, new Uint8Array([1, 2]).buffer],
    [new Uint8Array([0, 1, 2]).subarray(1), new Uint8Array([1, 2])],
    [new Set([1, { a: 1 }]), new Set([{ a: 1 }, 1])],
    [new Map([[{ k: 1 }, [1]]]), new Map([[{ k: 1 }, [1]]])],
    [new Date(5), new Date(5)],
    [/a/g, /a/g],
    [new URL("http://a.b/"), new URL("http://a.b")],
    [new Point(1), new Point(1)],
    [cycle(), cycle()],
  ];
  for (const [a, b] of same) assert(equal(a, b), Deno.inspect([a, b]));
  const different: [unknown, unknown][] = [
    [1, "1"],
    [1, 1n],
    [null, undefined],
    [null, {}],
    [[], {}],
    [{ a: undefined }, {}],
    [{ a: undefined }, { b: undefined }],
    [[1, 2], [1, 2, 3]],
    [new Float32Array(2), new Float64Array(2)],
    [new Float32Array(2), new Float32Array(3)],
    [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
    [new Set([1, { a: 1 }]), new Set([1, { a: 2 }])],
    [new Set([{ a: 1 }, { a: 2 }]), new Set([{ a: 1 }, { a: 3 }])],
    [new Map([["a", 1]]), new Map([["a", 2]])],
    [new Map([["a", 1]]), new Map([["b", 1]])],
    [new Date(5), new Date(6)],
    [/a/g, /a/i],
    [new Point(1), { x: 1 }],
    [new Point(1), new Point(2)],
    [() => {}, () => {}],
  ];
  for (const [a, b] of different) assertFalse(equal(a, b), Deno.inspect([a, b]));
  assertThrows(() => equal(new WeakMap(), new WeakMap()), TypeError, "WeakMap");
});

Deno.test("assertEquals() shows the lines that differ", () => {
  assertEquals({ a: [1] }, { a: [1] });
  assertEquals(
    failure(() => assertEquals({ a: 1, b: { c: "x" } }, { a: 1, b: { c: "y" } }, "what I said")),
    `Values are not equal: what I said
    [Diff] Actual / Expected

    {
      a: 1,
      b: {
-       c: "x",
+       c: "y",
      },
    }`,
  );
  assertEquals(
    failure(() => assertEquals("one\ntwo", "one\ntwo\n")),
    `Values are not equal.
    [Diff] Actual / Expected

    "one\\n"
-   "two"
+   "two\\n"`,
  );
});

Deno.test("assertEquals() shows a long array's differences and little more", () => {
  const actual = new Uint32Array(100).map((_, i) => i);
  const message = failure(() => assertEquals(actual, actual.with(50, 7)));
  assertStringIncludes(message, "-     50,\n+     7,\n");
  assertStringIncludes(message, "… 48 equal lines …");
  assertLess(message.split("\n").length, 15);

  const shifted = failure(() => assertEquals([1, 2, 3, 4], [2, 3, 4, 5]));
  assertStringIncludes(shifted, "-     1,\n      2,\n      3,\n      4,\n+     5,\n");

  const large = new Float32Array(4000).map((_, i) => i);
  const doubled = failure(() => assertEquals(large, large.map((x) => 2 * x)));
  assertStringIncludes(doubled, "-     3999,\n+     7998,\n");
});

Deno.test("assertNotEquals() and the strict ones", () => {
  const object = { a: 1 };
  assertNotEquals(object, { a: 2 });
  assertStringIncludes(failure(() => assertNotEquals(object, { a: 1 })), "not to be");
  assertStrictEquals(object, object);
  assertStrictEquals(NaN, NaN);
  assertStringIncludes(failure(() => assertStrictEquals(0, -0)), "not strictly equal");
  assertStringIncludes(failure(() => assertStrictEquals(object, { a: 1 })), "reference-equal");
  assertNotStrictEquals(object, { a: 1 });
  assertStringIncludes(failure(() => assertNotStrictEquals(1, 1)), "strictly equal to: 1");
});

Deno.test("assertAlmostEquals() allows the tolerance and no more", () => {
  assertAlmostEquals(0.1 + 0.2, 0.3);
  assertAlmostEquals(0.5, 0.75, 0.25);
  assertAlmostEquals(Infinity, Infinity);
  assertAlmostEquals(NaN, NaN);
  assertEquals(
    failure(() => assertAlmostEquals(1, 1.5, 0.25, "hm")),
    'Expected actual: "1" to be close to "1.5e+0": delta "5e-1" is greater than "2.5e-1": hm',
  );
  failure(() => assertAlmostEquals(NaN, 0, 1));
  failure(() => assertAlmostEquals(-Infinity, Infinity));
  failure(() => assertAlmostEquals(1, 1 + 2e-7));
});

Deno.test("assertArrayIncludes() finds equals in any order", () => {
  assertArrayIncludes([1, { a: [2] }, 3], [{ a: [2] }, 1]);
  assertArrayIncludes(new Uint8Array([1, 2]), new Uint8Array([2]));
  assertStringIncludes(failure(() => assertArrayIncludes([1], [1, 2])), "missing: [\n  2,\n]");
});

Deno.test("the assertions of conditions hold or throw", () => {
  const maybe = "text" as string | undefined;
  assertExists(maybe);
  assertStringIncludes(maybe, "ex"); // compiles only if assertExists narrowed the type
  assertMatch(maybe, /^t/);
  assertGreater(2, 1);
  assertGreaterOrEqual(2, 2);
  assertLess(1n, 2n);
  assertLessOrEqual("a", "a");
  assertInstanceOf(new TypeError(), Error);

  assertEquals(failure(() => assert(0)), "");
  assertEquals(failure(() => assert("", "Nothing.")), "Nothing.");
  assertStringIncludes(failure(() => assertExists(null, "why")), "null or undefined: why");
  assertStringIncludes(failure(() => assertStringIncludes("abc", "d")), 'to contain: "d".');
  assertStringIncludes(failure(() => assertMatch("abc", /d/)), 'to match: "/d/".');
  assertEquals(failure(() => assertGreater(1, 1)), "Expect 1 > 1");
  assertEquals(failure(() => assertGreaterOrEqual(1, 2)), "Expect 1 >= 2");
  assertEquals(failure(() => assertLess(NaN, 2)), "Expect NaN < 2");
  assertEquals(failure(() => assertLessOrEqual(3, 2, "Too many.")), "Too many.");
  assertStringIncludes(failure(() => assertInstanceOf([], Map)), '"Map" but was "Array".');
  assertEquals(failure(() => fail("so")), "Failed assertion: so");
  assertEquals(failure(() => unreachable()), "Unreachable.");
});

Deno.test("assertThrows() returns the error or says what happened instead", () => {
  const boom = () => {
    throw new RangeError("The length is 7.");
  };
  assertEquals(assertThrows(boom, RangeError, "is 7").message, "The length is 7.");
  assertInstanceOf(assertThrows(boom), RangeError);
  assertEquals(
    assertThrows(() => {
      throw "text";
    }),
    "text",
  );
  assertEquals(failure(() => assertThrows(() => {}, "no")), "Expected function to throw: no");
  assertStringIncludes(failure(() => assertThrows(boom, TypeError)), 'was "RangeError"');
  assertStringIncludes(failure(() => assertThrows(boom, RangeError, "8")), 'include "8", but got');
});

Deno.test("assertRejects() returns the error or says what happened instead", async () => {
  const boom = () => Promise.reject(new RangeError("The length is 7."));
  assertEquals((await assertRejects(boom, RangeError, "is 7")).message, "The length is 7.");
  assertInstanceOf(await assertRejects(boom), RangeError);
  const message = async (assertion: Promise<unknown>) =>
    (await assertRejects(() => assertion, AssertionError)).message;
  assertEquals(
    await message(assertRejects(() => Promise.resolve(), "no")),
    "Expected function to reject: no",
  );
  assertEquals(
    await message(assertRejects(() => {
      throw new Error();
    })),
    "Function throws when expected to reject.",
  );
  assertStringIncludes(await message(assertRejects(boom, TypeError)), 'was "RangeError"');
});

Deno.test("assertIsError() looks at class and message", () => {
  assertIsError(new RangeError("abc"), Error, /b/);
  failure(() => assertIsError("abc"));
  failure(() => assertIsError(new Error("abc"), Error, /d/));
});
