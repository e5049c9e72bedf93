import { assertEquals, assertThrows } from "../../std/assert/mod.ts";
import { type Args, parseArgs } from "../../std/cli/parse_args.ts";

/** Fails to compile unless both types are the same for those who read and write values of them. */
function assertType<A>() {
  return <B>(
    ..._same: [A, B] extends [B, A] ? [] : ["the types differ", A, B]
  ) => {};
}

Deno.test("parseArgs() guesses what is not declared", () => {
  assertEquals(parseArgs([]), { _: [] });
  assertEquals(parseArgs(["--foo", "--bar=baz", "./quux.txt"]), {
    foo: true,
    bar: "baz",
    _: ["./quux.txt"],
  });
  assertEquals(parseArgs(["--host", "localhost", "--port", "555", "--"]), {
    host: "localhost",
    port: 555,
    _: [],
  });
  assertEquals(parseArgs(["-v", "a", "-v", "b"]), { v: "b", _: [] });
  assertEquals(parseArgs(["--no-moo"]), { "no-moo": true, _: [] });
});

Deno.test("parseArgs() makes numbers of what looks like numbers", () => {
  assertEquals(
    parseArgs("-x 1234 -y 5.67 -z 1e7 -w 10f --hex 0xdeadbeef --big=1e999 789".split(" ")),
    { x: 1234, y: 5.67, z: 1e7, w: "10f", hex: 0xdeadbeef, big: "1e999", _: [789] },
  );
  assertEquals(parseArgs(["-x", "\t"]), { x: "\t", _: [] });
  assertEquals(parseArgs(["-s", "0001234", "7"], { string: ["s", "_"] }), {
    s: "0001234",
    _: ["7"],
  });
});

Deno.test("parseArgs() reads groups of letters", () => {
  assertEquals(parseArgs(["-b"]), { b: true, _: [] });
  assertEquals(parseArgs(["-cats", "meow"]), { c: true, a: true, t: true, s: "meow", _: [] });
  assertEquals(parseArgs(["-fp", "555", "a.js"]), { f: true, p: 555, _: ["a.js"] });
  assertEquals(parseArgs(["-b=123", "-f=abc=def", "-e=="]), {
    b: 123,
    f: "abc=def",
    e: "=",
    _: [],
  });
  assertEquals(parseArgs(["-n123", "-I/foo/bar", "-xyz/foo"]), {
    n: 123,
    I: "/foo/bar",
    x: true,
    y: true,
    z: "/foo",
    _: [],
  });
  assertEquals(parseArgs(["-123", "456"]), { 1: true, 2: true, 3: 456, _: [] });
  assertEquals(parseArgs(["-art"], { string: ["a", "t"] }), { a: "", r: true, t: "", _: [] });
});

Deno.test("parseArgs() takes a lone hyphen for a value", () => {
  assertEquals(parseArgs(["-n", "-"]), { n: "-", _: [] });
  assertEquals(parseArgs(["-"]), { _: ["-"] });
  assertEquals(parseArgs(["-f-"]), { f: "-", _: [] });
  assertEquals(parseArgs(["-b", "-"], { boolean: "b" }), { b: true, _: ["-"] });
  assertEquals(parseArgs(["-s", "-"], { string: "s" }), { s: "-", _: [] });
});

Deno.test("parseArgs() gives a string option a value only if there is one", () => {
  const options = { string: ["prompt"] } as const;
  assertEquals(parseArgs(["--prompt", "a b"], options), { prompt: "a b", _: [] });
  assertEquals(parseArgs(["--prompt=-a\nb"], options), { prompt: "-a\nb", _: [] });
  assertEquals(parseArgs(["--prompt"], options), { prompt: "", _: [] });
  assertEquals(parseArgs(["--prompt", "-a"], options), { prompt: "", a: true, _: [] });
  assertEquals(parseArgs(["--prompt", ""], options), { prompt: "", _: [""] });
  assertEquals(parseArgs(["--prompt="], options), { "prompt=": true, _: [] });
});

Deno.test("parseArgs() gives a boolean option no value but true and false", () => {
  const options = { boolean: ["verbose", "t"], default: { verbose: true } } as const;
  assertEquals(parseArgs([], options), { verbose: true, t: false, _: [] });
  assertEquals(parseArgs(["--verbose", "false", "moo", "-t", "true"], options), {
    verbose: false,
    t: true,
    _: ["moo"],
  });
  assertEquals(parseArgs(["--verbose=false", "-t", "123"], options), {
    verbose: false,
    t: true,
    _: [123],
  });
  assertEquals(parseArgs(["moo", "--honk", "cow", "-p", "55", "--tacos=good"], { boolean: true }), {
    honk: true,
    tacos: "good",
    p: 55,
    _: ["moo", "cow"],
  });
});

Deno.test("parseArgs() negates only what is negatable, the last one winning", () => {
  const options = { boolean: ["foo", "bar"], negatable: ["foo"] } as const;
  assertEquals(parseArgs(["--foo", "--no-foo", "123"], options), {
    foo: false,
    bar: false,
    _: [123],
  });
  assertEquals(parseArgs(["--no-foo", "--foo"], options).foo, true);
  assertEquals(parseArgs(["--no-bar"], options), {
    foo: false,
    bar: false,
    "no-bar": true,
    _: [],
  });
});

Deno.test("parseArgs() collects what is to be collected", () => {
  assertEquals(
    parseArgs("--bool --bool --boolArr --str foo --strArr beep --x --xs".split(" "), {
      boolean: ["bool", "boolArr"],
      string: ["str", "strArr", "none"],
      collect: ["boolArr", "strArr", "xs", "none"],
      alias: { bool: "b", strArr: "S", boolArr: "B" },
    }),
    {
      bool: true,
      b: true,
      boolArr: [true],
      B: [true],
      str: "foo",
      strArr: ["beep"],
      S: ["beep"],
      x: true,
      xs: [true],
      none: [],
      _: [],
    },
  );
  assertEquals(
    parseArgs("--foo 123 -f 456 --no-foo".split(" "), {
      string: ["foo"],
      collect: ["foo"],
      negatable: ["foo"],
      alias: { foo: "f" },
    }),
    { foo: false, f: false, _: [] },
  );
});

Deno.test("parseArgs() keeps aliases in step", () => {
  const options = { boolean: "h", alias: { h: ["herp", "harp"] } } as const;
  const expected = { h: true, herp: true, harp: true, _: ["derp"] };
  for (const name of ["-h", "--herp", "--harp"]) {
    assertEquals(parseArgs([name, "derp"], options), expected);
  }
  assertEquals(parseArgs(["-z", "55"], { alias: { zoom: "z" } }), { zoom: 55, z: 55, _: [] });
  assertEquals(parseArgs([], { alias: { a: "b" }, default: { a: 1 } }), { a: 1, b: 1, _: [] });
  assertThrows(
    () => parseArgs([], { alias: { a: undefined as unknown as string } }),
    TypeError,
    "Alias value must be defined",
  );
});

Deno.test("parseArgs() nests names with dots", () => {
  assertEquals(parseArgs("--foo.bar 3 --foo.quux.oO --beep.boop 4".split(" ")), {
    foo: { bar: 3, quux: { oO: true } },
    beep: { boop: 4 },
    _: [],
  });
  assertEquals(parseArgs([], { default: { "a.b": 11 }, alias: { "a.b": "aa.bb" } }), {
    a: { b: 11 },
    aa: { bb: 11 },
    _: [],
  });
  assertEquals(parseArgs(["--toString", "--valueOf", "foo"]), {
    toString: true,
    valueOf: "foo",
    _: [],
  });
});

Deno.test("parseArgs() parses nothing after -- or, stopping early, after a positional", () => {
  const args = ["--name", "John", "before", "--", "--after", "7"];
  assertEquals(parseArgs(args), { name: "John", _: ["before", "--after", "7"] });
  assertEquals(parseArgs(args, { "--": true }), {
    name: "John",
    _: ["before"],
    "--": ["--after", "7"],
  });
  assertEquals(parseArgs(["--aaa", "bbb", "ccc", "--ddd", "5"], { stopEarly: true }), {
    aaa: "bbb",
    _: ["ccc", "--ddd", "5"],
  });
});

Deno.test("parseArgs() calls unknown with what no option declares", () => {
  const unknown: unknown[] = [];
  const args = parseArgs(
    ["-h", "true", "--derp=1", "-d", "false", "cow", "--list", "1", "--no-color", "--", "x"],
    {
      alias: { h: "herp" },
      boolean: "h",
      collect: "list",
      negatable: "color",
      default: { derp: 0 },
      unknown(arg, key, value) {
        unknown.push([arg, key, value]);
        return arg === "--list" ? undefined : false;
      },
    },
  );
  assertEquals(args, { h: true, herp: true, derp: 0, list: [1], _: ["x"] });
  assertEquals(unknown, [
    ["--derp=1", "derp", "1"],
    ["-d", "d", "false"],
    ["cow", undefined, undefined],
    ["--list", "list", "1"],
    ["--no-color", "color", false],
  ]);
});

Deno.test("parseArgs() types the options that are declared", () => {
  const args = parseArgs(["--bar=1", "--strings=a"], {
    boolean: ["foo", "color"],
    string: ["bar", "beep", "strings"],
    collect: ["strings", "things"],
    negatable: ["color", "beep"],
    default: { bar: 7, extra: null },
    alias: { foo: ["f", "o"], bar: "b" },
    "--": true,
  });
  assertType<typeof args.foo>()<boolean>();
  assertType<typeof args.f>()<boolean>();
  assertType<typeof args.o>()<boolean>();
  assertType<typeof args.color>()<boolean>();
  assertType<typeof args.bar>()<string | number>();
  assertType<typeof args.b>()<string | number>();
  assertType<typeof args.beep>()<string | false | undefined>();
  assertType<typeof args.strings>()<string[]>();
  assertType<typeof args.things>()<unknown[]>();
  assertType<typeof args.extra>()<unknown>();
  assertType<typeof args.undeclared>()<unknown>();
  assertType<typeof args._>()<Array<string | number>>();
  assertType<(typeof args)["--"]>()<string[]>();
  assertEquals(args.bar, "1");

  const guessed: Args = parseArgs(["--n", "5"]);
  assertEquals(guessed.n + 1, 6);
  const explicit = parseArgs<{ name?: string }, true>(["--", "x"], { "--": true });
  assertType<typeof explicit.name>()<string | undefined>();
  assertEquals(explicit["--"], ["x"]);
});
