/** Answers that end early: by a signal, or because nobody reads them any more. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { feed, FIXTURE, run, start } from "./process.ts";

const PROMPT = "let total = 1; let total = 2; let total = 3; let";
/** A generation that takes seconds; the answer begins long before its end. */
const LENGTH = 190_000;
const LONG = ["--model", FIXTURE, "--prompt", PROMPT, "--ignore-eos", "--no-lookup"];
LONG.push("--context", "200000", "--max-new-tokens", `${LENGTH}`);

Deno.test(
  {
    name: "Ctrl-C, or being asked to end, keeps what was decoded",
    ignore: Deno.build.os === "windows",
  },
  async () => {
    for (
      const [json, signal, exitCode] of [[false, "SIGINT", 130], [true, "SIGTERM", 143]] as const
    ) {
      const child = start(json ? [...LONG, "--json"] : LONG);
      await feed(child, "");
      const [forWaiting, forReading] = child.stdout.tee();
      const output = new Response(forReading).text();
      if (json) await new Promise((resolve) => setTimeout(resolve, 3000));
      else await forWaiting.getReader().read();
      child.kill(signal);
      const told = await new Response(child.stderr).text();
      const stderr = told.replace(/^A context of 200000 tokens .* is 2048\).*\n/, "");
      const { code } = await child.status;
      const stdout = await output;
      assertEquals(code, exitCode, stderr);
      if (!json) assert(told !== stderr, told);
      const count = Number(/^(\d+) tokens? in \1 pass.*\n.*; interrupted\n$/.exec(stderr)?.[1]);
      if (!json) {
        assert(count > 0 && count < LENGTH, stderr);
        assert(stdout.length > 1 && stdout.endsWith("\n"), stdout);
        continue;
      }
      const { stopReason, tokens } = JSON.parse(stdout);
      assertEquals(stopReason, "aborted");
      const isEarly =
        /^(Interrupted while the model was loading|The prompt .* was interrupted after .*)\.\n$/;
      if (isEarly.test(stderr)) assertEquals(tokens, []);
      else assertEquals(tokens.length, count, stderr);
    }
  },
);

/** Reads the first of what decode.ts prints, and goes away; it ends in silence then. */
async function readOnce(args: string[]): Promise<void> {
  const child = start(args);
  await feed(child, "");
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assertEquals(await new Response(child.stderr).text(), "");
  assertEquals((await child.status).code, 0);
}

Deno.test("decode.ts ends in silence when its reader goes away", async () => {
  await readOnce([...LONG, "--quiet"]);
});

Deno.test("a page is written though nobody reads the answer, and to what is no regular file", async () => {
  await using dir = new TempDir();
  const page = `${dir.path}/page.html`;
  await readOnce([...LONG.slice(0, -1), "60", "--quiet", "--html", page]);
  assertStringIncludes(await Deno.readTextFile(page), "</html>");
  if (Deno.build.os === "windows") return;
  const none = ["--model", FIXTURE, "--prompt", "Say", "--max-new-tokens", "2", "--quiet"];
  const { code, stderr } = await run([...none, "--html", "/dev/null"]);
  assertEquals([code, stderr], [0, ""]);
});

Deno.test({
  name: "Ctrl-C takes away what --save-quantized has written",
  ignore: Deno.build.os === "windows", // where a process cannot be sent a signal
  fn: async () => {
    await using dir = new TempDir();
    const [model, target] = [`${dir.path}/model`, `${dir.path}/q8`];
    await writeRandomCheckpoint({
      architectures: ["MistralForCausalLM"],
      vocab_size: 32000,
      hidden_size: 512,
      intermediate_size: 2048,
      num_hidden_layers: 16,
      num_attention_heads: 8,
      num_key_value_heads: 2,
    }, model);
    const child = start(["--model", model, "--quantize", "q8", "--save-quantized", target]);
    await feed(child, "");
    const stderr = new Response(child.stderr).text();
    const isWritten = () => {
      try {
        return Deno.statSync(`${target}/model.safetensors`).size > 0;
      } catch {
        return false;
      }
    };
    let isOver = false;
    child.status.then(() => isOver = true);
    while (!isWritten() && !isOver) await new Promise((resolve) => setTimeout(resolve, 5));
    if (isOver) throw new Error(`It ended before it wrote anything: ${await stderr}`);
    child.kill("SIGINT");
    await child.stdout.cancel();
    const { code } = await child.status;
    assertEquals(await stderr, `Interrupted: what was written to ${target} is removed again.\n`);
    assertEquals(code, 130);
    assertEquals(Array.from(Deno.readDirSync(dir.path), ({ name }) => name), ["model"]);
  },
});
