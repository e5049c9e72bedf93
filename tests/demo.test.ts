import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { EXAMPLES } from "../demo/examples.ts";
import { type Row, table, total } from "../demo/table.ts";
import { FIXTURE, ROOT } from "./cli/process.ts";

const ROW: Row = {
  task: "rename",
  tokens: 90,
  passes: 30,
  plainMs: 400,
  lookupMs: 200,
  isEqual: true,
};

Deno.test("table() shows what lookup saved, row by row and in all", () => {
  const rows = [ROW, {
    ...ROW,
    task: "edit",
    tokens: 10,
    passes: 10,
    plainMs: 1600,
    lookupMs: 1600,
  }];
  assertEquals(
    table(rows),
    `
task    tokens  passes  tokens/pass  passes saved   plain  lookup  faster  equal
------  ------  ------  -----------  ------------  ------  ------  ------  -----
rename      90      30         3.00      60 (67%)  400 ms  200 ms  2.00 x    yes
edit        10      10         1.00        0 (0%)  1.60 s  1.60 s  1.00 x    yes
------  ------  ------  -----------  ------------  ------  ------  ------  -----
all        100      40         2.50      60 (60%)  2.00 s  1.80 s  1.11 x    yes`.slice(1),
  );
});

Deno.test("An answer that differs is not to be overlooked", () => {
  const rows = [ROW, { ...ROW, isEqual: false }, ROW];
  assertEquals(total(rows).isEqual, false);
  assertEquals(table(rows).match(/NO$/gm)?.length, 2);
});

Deno.test("The demo asks about each task of the model in the box, which users can read", async () => {
  const generator = await Deno.readTextFile(new URL("tools/train/generator.py", ROOT));
  const tasks = /^TASKS = \{(.*)\}$/m.exec(generator)![1]!.matchAll(/"(\w+)":/g);
  assertEquals(EXAMPLES.map(({ task }) => task), Array.from(tasks, ([, task]) => task!));
  for (const { chat } of EXAMPLES) {
    assertEquals(chat.at(-1)!.role, "user");
    for (const { content } of chat) assertMatch(content, /^[\n\x20-\x7e]+$/);
  }
});

/** Runs the demo in a process of its own. */
async function demo(...args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "demo/demo.ts", ...args],
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test("deno task demo answers every example, in less than a minute", async () => {
  const start = performance.now();
  const { code, text } = await demo();
  assertEquals(code, 0, text);
  assert(performance.now() - start < 60_000, "it took too long");
  for (const { task, chat } of EXAMPLES) {
    assertStringIncludes(text, `── ${task} ─`);
    assertStringIncludes(text, `> ${chat[0]!.content.split("\n")[0]}`);
    assertMatch(text, new RegExp(`^${task} +\\d+ .* x +yes$`, "m"));
  }
  assertStringIncludes(text, "All answers are the same with lookup and without.");
});

Deno.test("The demo runs a checkpoint that is named", async () => {
  const { code, text } = await demo(FIXTURE);
  assertEquals(code, 0, text);
  assertMatch(text, /^all +\d+ .* x +yes$/m);
});

Deno.test("The demo says what is wrong with a checkpoint that is named", async () => {
  const { code, text } = await demo("no/such/directory");
  assertEquals(code, 1, text);
  assertStringIncludes(text, "no/such/directory");
});
