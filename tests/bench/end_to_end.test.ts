/** bench/end_to_end.ts, run as its first lines say, on the smallest shape. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { EndToEndResult } from "../../bench/result.ts";
import { listDevices } from "../../mod.ts";
import { runScript } from "../cli/process.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";

const bench = (...args: string[]) => runScript("bench/end_to_end.ts", ...args);

Deno.test("bench/end_to_end.ts measures the device it is asked for, and replays an answer", async () => {
  await using directory = new TempDir();
  const [file, out] = [`${directory.path}/answers.jsonl`, `${directory.path}/result.json`];
  const answer = Array.from({ length: 24 }, (_, i) => 3 + i % 6);
  const line = { task: "t", prompt_ids: [1, ...answer], output_ids: answer };
  await Deno.writeTextFile(file, `${JSON.stringify(line)}\n`);
  const [device] = await listDevices();
  const { code, stdout, stderr } = await bench(
    ...["--shape", "tiny", "--layers", "1", "--replay", file, "--out", out, "--json"],
    ...["--device", device!.name.toUpperCase()],
  );
  assertEquals(code, 0, stderr);
  const result: EndToEndResult = JSON.parse(stdout);
  assertEquals(result, JSON.parse(await Deno.readTextFile(out)));
  assertEquals([result.device, result.layers, result.isWhole], [device!.name, 1, false]);
  const [replay, ...more] = result.replays;
  assertEquals(more, []);
  assertEquals([replay!.drafter, replay!.answers.length], ["tree", 1]);
  const speeds = [...result.prefill, ...result.plain].map((found) => found.tokensPerSecond);
  assert(speeds.length >= 2 && speeds.every((speed) => speed > 0), stdout);
});

Deno.test("bench/end_to_end.ts says in a sentence what it cannot do", async () => {
  for (
    const [args, sentence] of [
      [["--device", "no such"], /^There is no WebGPU device with "no such" in its name: .+\.\n$/],
      [["--shape", "huge"], /^.*"huge".+\n$/],
      [["--layers", "3"], /^The shape tiny has 2 layers: 3 cannot .+\.\n$/],
      [["--dtype", "q5"], /^--dtype is "q5": .+\.\n$/],
      [["--replay", "/no/such"], /\/no\/such/],
    ] as const
  ) {
    const { code, stdout, stderr } = await bench("--shape", "tiny", ...args);
    assertEquals([code, stdout], [1, ""], stderr);
    assertMatch(stderr, sentence);
  }
});
