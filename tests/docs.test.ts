import { assertEquals } from "@std/assert";
import { ROOT } from "./cli/process.ts";

Deno.test("all that mod.ts exports is documented, and so is every type in it", async () => {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "mod.ts"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  });
  const { code, stderr } = await command.output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
});
