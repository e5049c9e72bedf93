/** How decode.ts ends when something is wrong, in a process of its own: with a sentence. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { assertSentence, FIXTURE, ROOT, run } from "./process.ts";

const BASE = ["--model", FIXTURE, "--prompt", "let total = 1;"];

Deno.test("decode.ts ends with 2 and a sentence when it is used wrongly", async () => {
  for (
    const [args, part] of [
      [["--model", FIXTURE, "--mdoel", "x"], "Did you mean --model"],
      [[...BASE, "--color", "--no-color"], "contradict each other"],
      [["--model", FIXTURE, "--prompt", ""], "--prompt needs a value"],
      [[...BASE, "--num-draft", "32"], 'is "32" and must be a whole number from 0 to 31'],
    ] as const
  ) {
    const { code, stdout, stderr } = await run(args);
    assertEquals(code, 2, stderr);
    assertEquals(stdout, "");
    assertStringIncludes(stderr, part);
    assertSentence(stderr);
  }
});

Deno.test("decode.ts ends with 1 and a sentence when it fails", async () => {
  await using directory = new TempDir();
  const path = (name: string) => `${directory.path}/${name}`;
  const write = (name: string, content: string | Uint8Array) =>
    Deno.writeFile(
      path(name),
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
  for (const name of ["empty", "damaged"]) await Deno.mkdir(path(name));
  await write("damaged/config.json", '{"architectures": ["Mistral');
  await write("latin1.txt", Uint8Array.of(0x5a, 0x77, 0xf6, 0x6c, 0x66));
  await write("nothing.txt", "");
  await write("outside.json", "[1, 384]");
  await write("none.json", "[]");
  await write("long.json", JSON.stringify(Array.from({ length: 64 }, () => 5)));
  const model = ["--model", FIXTURE];
  for (
    const [args, part] of [
      [["--model", path("missing"), "--prompt", "a"], path("missing")],
      [["--model", path("empty"), "--prompt", "a"], "config.json"],
      [["--model", path("damaged"), "--prompt", "a"], "config.json"],
      [[...model, "--prompt-file", path("missing.txt")], "it does not exist"],
      [[...model, "--prompt-file", path("latin1.txt")], "what begins at byte 2 is no character"],
      [[...model, "--prompt-file", path("nothing.txt")], "is empty"],
      [model, "standard input is empty"],
      [[...model, "--prompt-ids", path("outside.json")], "Token 1 of the prompt is 384"],
      [[...model, "--prompt-ids", path("none.json")], "The prompt is empty"],
      [[...model, "--prompt-ids", path("long.json"), "--context", "64"], "has 64 tokens"],
      [["--model", "tests/fixtures/odd-f32", "--prompt", "a"], "tokenizer.json"],
    ] as const
  ) {
    const { code, stdout, stderr } = await run(args);
    assertEquals(code, 1, `${args}: ${stderr}`);
    assertEquals(stdout, "");
    assertStringIncludes(stderr, part);
    assertSentence(stderr);
  }
});

Deno.test({
  name: "decode.ts says in a sentence that it may not, and that its output has no room",
  ignore: Deno.build.os === "windows", // which has no sh
  fn: async () => {
    const shell = async (command: string) => {
      const env = { DENO: Deno.execPath() };
      const shell = new Deno.Command("sh", {
        args: ["-c", command],
        cwd: ROOT,
        env,
        stdin: "null",
      });
      const { code, stdout, stderr } = await shell.output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      return { code, stdout: out!, stderr: err! };
    };
    const failing = async (command: string) => {
      const { code, stderr } = await shell(command);
      assertEquals(code, 1);
      return stderr;
    };
    const denied = await failing('"$DENO" run --no-prompt decode.ts --version');
    assertStringIncludes(denied, "Start it with deno run -A.");
    assertSentence(denied);
    if (Deno.build.os !== "linux") return;
    const full = await failing('"$DENO" run -A decode.ts --version > /dev/full');
    assertStringIncludes(full, "Standard output cannot be written");
    assertSentence(full);
    // What is told about an answer is no part of it.
    const told = await shell(
      '"$DENO" run -A decode.ts --model tests/fixtures/tiny-gqa-bf16 --prompt a 2> /dev/full',
    );
    assertEquals([told.code, told.stdout !== ""], [0, true]);
  },
});
