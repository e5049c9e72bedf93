import { assertEquals, assertRejects } from "@std/assert";
import { readPrompt } from "../../cli/prompt.ts";
import { DittoError } from "../../mod.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { seeded } from "../random.ts";

type PromptFile = "file" | "ids" | "messages";

/** Reads a file of these bytes as a prompt. */
async function readBytes(kind: PromptFile, bytes: Uint8Array | string) {
  await using directory = new TempDir();
  const path = `${directory.path}/prompt`;
  await Deno.writeFile(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  return await readPrompt({ kind, path });
}

async function assertRefused(kind: PromptFile, bytes: Uint8Array | string, message: string) {
  await assertRejects(() => readBytes(kind, bytes), DittoError, message);
}

Deno.test("readPrompt() takes a file as it is", async () => {
  assertEquals(await readPrompt({ kind: "text", text: "a" }), "a");
  assertEquals(await readBytes("file", " ä\r\n日\n\n"), " ä\r\n日\n\n");
  assertEquals(await readBytes("ids", "[1, 2, 3]"), [1, 2, 3]);
  assertEquals(await readBytes("ids", "[]"), []); // the library says what is wrong with it
  const messages = [{ role: "user", content: "ä" }, { role: "assistant", name: "b", content: "" }];
  assertEquals(await readBytes("messages", JSON.stringify(messages)), messages);
  const odd = '[{"role":1},null]';
  assertEquals(JSON.stringify(await readBytes("messages", odd)), odd); // likewise
});

Deno.test("readPrompt() refuses files that hold no prompt", async () => {
  await assertRefused("file", "", "is empty");
  await assertRefused("ids", "", "is empty");
  await assertRefused("ids", "[1, 2", "is not JSON");
  await assertRefused("ids", "Hello", "it must hold a JSON array of token ids");
  await assertRefused("ids", '{"ids": [1]}', "an object: it must hold a JSON array of token ids");
  await assertRefused("ids", '[1, "2"]', "with a string: it must hold a JSON array of token ids");
  const turn = '{"role": "user", "content": "a"}';
  for (
    const [json, found] of [
      ["", "is empty"],
      ["[", "is not JSON"],
      [`${turn}\n${turn}`, "is not JSON"],
      ["[]", "holds an empty array"],
      ["null", "holds null"],
      ['"Hello"', "holds a string"],
      [`{"messages": [${turn}]}`, "holds an object"],
      [`["Hello", ${turn}]`, "holds an array with a string"],
      ["[1, 2]", "holds an array with a number"], // token ids, to the library
    ] as const
  ) {
    await assertRefused("messages", json, found);
    if (json) await assertRefused("messages", json, "it must hold a JSON array of messages, such");
  }
});

Deno.test("readPrompt() refuses files that it cannot read", async () => {
  const path = `${Deno.makeTempDirSync()}/missing`;
  for (const kind of ["file", "ids", "messages"] as const) {
    const source = { kind, path };
    await assertRejects(() => readPrompt(source), DittoError, `${path}: it does not exist`);
    const directory = { kind, path: Deno.cwd() };
    await assertRejects(() => readPrompt(directory), DittoError, "it is a directory");
    const huge = { kind, path: await Deno.makeTempFile() };
    await Deno.truncate(huge.path, 257 << 20); // of which no disk need hold a byte
    await assertRejects(() => readPrompt(huge), DittoError, "has more than 256 MiB");
    await Deno.remove(huge.path);
  }
});

Deno.test(
  "readPrompt() says where a file stops being UTF-8",
  seeded(async (random) => {
    for (let i = 0; i < 50; i++) {
      const letters = Array.from(
        { length: random.below(20) },
        () => random.pick("aß日😀".split(/(?:)/u)),
      );
      const good = new TextEncoder().encode(letters.join(""));
      const bad = random.pick([[0xff], [0xc3], [0xe6, 0x97], [0xc3, 0x41], [0x80], [
        0xf0,
        0x9f,
        0x98,
      ]]);
      const tail = random.chance(0.5) ? [] : [0x41, 0x42];
      const bytes = Uint8Array.from([...good, ...bad, ...tail]);
      await assertRefused("file", bytes, `is not UTF-8: what begins at byte ${good.length} `);
    }
  }),
);
