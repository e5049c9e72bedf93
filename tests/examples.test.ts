/**
 * The scripts of examples/, run as their first lines say, on the model in the box; and the commands of
 * README.md, as they are written there.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { ROOT } from "./cli/process.ts";
import { example, MODEL } from "./example.ts";
import { TempDir } from "./model/tiny_checkpoint.ts";

Deno.test("examples/stream.ts streams an answer", async () => {
  const { code, stdout, stderr } = await example(
    "stream.ts",
    MODEL,
    "Set limit to 9:\nlimit = 4\noffset = 12",
  );
  assertEquals(code, 0, stderr);
  const [, tokens, passes] = /^[^]+\n\n(\d+) tokens in (\d+) passes\n$/.exec(stdout) ?? [];
  assertEquals(Number(tokens) >= Number(passes), true, stdout);
  assertMatch(stdout, /^limit = 9\noffset = 12\n/);
});

Deno.test("examples/batch_rename.ts answers for each file that has the name", async () => {
  await using directory = new TempDir();
  const file = (name: string) => `${directory.path}/${name}`;
  const code = (name: string) =>
    `function checkOrder(${name}, limit) {\n  ${name} += 2;\n  return ${name} - limit;\n}\n`;
  await Deno.writeTextFile(file("a.js"), code("price"));
  await Deno.writeTextFile(file("b.js"), "let cost = readCost(48);\n");
  const files = [file("a.js"), file("b.js")];
  const args = [MODEL, "price", "total", file("out"), ...files];
  const { code: exitCode, stdout, stderr } = await example("batch_rename.ts", ...args);
  assertEquals(exitCode, 0, stderr);
  const [first, second, ...more] = stdout.trimEnd().split("\n");
  assertMatch(first!, /a\.js: \d+ tokens in \d+ passes$/);
  assertMatch(second!, /b\.js: no price$/);
  assertEquals(more, []);
  const renamed = await Deno.readTextFile(file("out/a.js"));
  assertEquals(renamed, code("total"));

  // The files themselves are never written.
  const own = await example(
    "batch_rename.ts",
    MODEL,
    "price",
    "total",
    `${directory.path}/.`,
    ...files,
  );
  assertEquals([own.code, own.stdout], [2, ""], own.stderr);
  assertMatch(own.stderr, /give another directory/);
  assertEquals(await Deno.readTextFile(file("a.js")), code("price"));
});

Deno.test("examples/chat.ts remembers what was said, and reads only what is new", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "examples/chat.ts", MODEL, "--quantize", "q8", "--context", "600"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const turns = [
    "Rename 'node_list' to 'tree': first = get_edge(node_list, depth)",
    "No, call it 'graph'.",
    " ", // asks nothing
    "a ".repeat(700), // is more than the context holds
  ];
  await writer.write(new TextEncoder().encode(turns.map((turn) => `${turn}\n`).join("")));
  await writer.close();
  const { code, ...output } = await child.output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  assertEquals(code, 0, stderr);
  assertEquals(stdout, "> first = get_edge(tree, depth)> first = get_edge(graph, depth)> > > \n");
  const [first, second] = Array.from(
    stderr!.matchAll(/\[(\d+) tokens read, (\d+) written in \d+ passes\]/g),
    ([, read, written]) => ({ read: Number(read), written: Number(written) }),
  );
  // The second turn reads the first answer, the new question, and what the template puts around them.
  assertEquals(second!.read - first!.written < 15, true, stderr);
  assertMatch(
    stderr!,
    /The prompt has \d+ tokens, and the context holds 600, .+ The chat begins anew\.\n$/,
  );
});

Deno.test("examples/chat.ts says in a sentence why it does not begin", async () => {
  for (
    const [args, exitCode, sentence] of [
      [["/no/such"], 1, /^Cannot open the model directory \/no\/such: it does not exist\.\n$/],
      [[MODEL, "--context", "1"], 1, /^The option context is 1: .+\.\n$/],
      [[MODEL, "--quantize", "q5"], 1, /^The option quantize is "q5": .+\.\n$/],
      [[MODEL, "--device", "no such"], 1, /"no such".+\.\n$/],
      [[MODEL, "--quantise", "q4"], 2, /^Usage: .+\n$/],
      [[MODEL, "q4"], 2, /^Usage: .+\n$/],
    ] as const
  ) {
    const { code, stdout, stderr } = await example("chat.ts", ...args);
    assertEquals([code, stdout], [exitCode, ""], stderr);
    assertMatch(stderr, sentence);
  }
});

Deno.test("examples/compare.ts finds no difference", async () => {
  await using directory = new TempDir();
  const file = `${directory.path}/prompt.txt`;
  await Deno.writeTextFile(file, "one two three one two three one two");
  const { code, stdout, stderr } = await example("compare.ts", MODEL, file);
  assertEquals(code, 0, stderr);
  assertMatch(
    stdout,
    /^without lookup: \d+ passes, \d+ ms\nwith lookup: +\d+ passes, \d+ ms\nThe answers are equal/,
  );
});

Deno.test("examples/worker.ts streams an answer from a Worker, and says what goes wrong there", async () => {
  const prompt = "Set limit to 9:\nlimit = 4\noffset = 12";
  const { code, stdout, stderr } = await example("worker.ts", MODEL, prompt);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^limit = 9\noffset = 12\n\n\d+ tokens; the end: eos\n$/);
  const failed = await example("worker.ts", "/no/such", prompt);
  assertEquals([failed.code, failed.stdout], [1, ""], failed.stderr);
  assertMatch(failed.stderr, /^Cannot open the model directory \/no\/such: it does not exist\.$/m);
});

Deno.test(
  { name: "examples/worker.ts ends an answer at Ctrl-C", ignore: Deno.build.os === "windows" },
  async () => {
    const lines = Array.from({ length: 30 }, (_, i) => `  price += ${i};`); // answered with 500 tokens
    const prompt = `Rename price to total:\n${lines.join("\n")}`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "examples/worker.ts", MODEL, prompt],
      cwd: ROOT,
      stdout: "piped",
    }).spawn();
    let stdout = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (stdout === "") child.kill("SIGINT");
      stdout += text;
    }
    assertEquals((await child.status).code, 0);
    assertMatch(stdout, /^[^]+\n\n\d+ tokens; the end: aborted\n$/);
  },
);

Deno.test("Examples say how they are used", async () => {
  for await (const { name, isFile } of Deno.readDir(new URL("examples", ROOT))) {
    if (!isFile) continue; // parts of server.ts
    if (name === "worker_model.ts") continue; // the part of worker.ts that runs in its Worker
    const { code, stderr } = await example(name);
    assertEquals([code, stderr.includes(`Usage: deno run -A examples/${name} MODEL`)], [2, true]);
  }
});

Deno.test({
  name: "The README's commands run as they are written",
  ignore: Deno.build.os === "windows", // which has no sh
  fn: async () => {
    const readme = await Deno.readTextFile(new URL("README.md", ROOT));
    const blocks = Array.from(readme.matchAll(/^```sh\n([^]*?)^```$/gm), ([, block]) => block!);
    const commands = blocks.join("").split("\n").filter((line) => line.includes("deno run -A"));
    assertEquals(commands.length > 4, true);
    const PATH = `${Deno.execPath().replace(/\/[^/]+$/, "")}:${Deno.env.get("PATH")}`;
    for (const command of commands) {
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: ["-c", command],
        cwd: ROOT,
        env: { PATH },
      }).output();
      assertEquals(code, 0, `${command}\n${new TextDecoder().decode(stderr)}`);
      assertEquals(stdout.length > 0, true, command);
    }
  },
});
