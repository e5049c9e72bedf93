/** What loading does about a device on which passes of many rows are not lossless. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type LanguageModel, loadModel, type LoadOptions } from "../../mod.ts";
import { FIXTURE, ROOT, run } from "../cli/process.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { DIRECTORY, rowCosts } from "./one_model.ts";
import { spoilWhere } from "./spoiled_shaders.ts";

async function loadSpoiled(options: LoadOptions): Promise<LanguageModel> {
  using _ = spoilWhere("row == 5u");
  return await loadModel(DIRECTORY, { context: 400, ...options });
}

/** An answer that repeats its prompt, so that all drafts are right. */
function answer(model: LanguageModel, promptLookupNumTokens: number) {
  const repeating = (length: number) => Array.from({ length }, (_, i) => 3 + i % 10);
  return model.generate(repeating(200), {
    replay: repeating(40),
    drafter: "original",
    promptLookupNumTokens,
    logitsDigest: true,
    ignoreEos: true,
    cachePrompt: false,
  }).result();
}

Deno.test({
  name: "a model drafts no more than leaves its answers the same to the bit",
  permissions: { read: true }, // so that what was found before is not found again, and all is tried
}, async () => {
  using model = await loadSpoiled({});
  assertEquals(model.maxDrafts, 3);
  const [plain, lookup] = [await answer(model, 0), await answer(model, 31)];
  assertEquals(lookup.logitsDigest, plain.logitsDigest);
  assertEquals(lookup.passes, 10);

  // Where nothing is tried, the same kernels give other bits: what was tried made the difference.
  using untried = await loadSpoiled({ rowCosts });
  assertEquals(untried.maxDrafts, 31);
  const [without, other] = [await answer(untried, 0), await answer(untried, 31)];
  assertEquals(without.logitsDigest, plain.logitsDigest);
  assertNotEquals(other.logitsDigest, plain.logitsDigest);
});

Deno.test("what was found is remembered, and decode.ts tells of it where it is less than all", async () => {
  await using temporary = new TempDir();
  const decode = async () => {
    const args = ["--model", FIXTURE, "--prompt", "a b a b a b a", "--context", "64", "--json"];
    const { code, stdout, stderr } = await run(args, { env: { DITTO_CACHE: temporary.path } });
    assertEquals(code, 0, stderr);
    const [entry] = Array.from(Deno.readDirSync(temporary.path));
    return { report: JSON.parse(stdout), stderr, file: entry && `${temporary.path}/${entry.name}` };
  };
  const { stderr, file, report } = await decode();
  assert(!stderr.includes("to the bit"), stderr);
  if (!file) return; // the device has no clock, so nothing is remembered
  const known = JSON.parse(await Deno.readTextFile(file));
  assertEquals(known.maxRows, 32);

  await Deno.writeTextFile(file, JSON.stringify({ ...known, maxRows: 4 }));
  const few = await decode();
  assert(few.stderr.includes("lookup drafts 3 tokens a pass at most"), few.stderr);
  assert(few.report.drafted <= 3 * few.report.passes);
  assertEquals(few.report.tokens, report.tokens);

  // Costs that are given say nothing about bits.
  const script = `import { loadModel } from "./mod.ts";
    const rowCosts = new Array(32).fill(1);
    using model = await loadModel("${FIXTURE}", { context: 64, rowCosts });
    console.log(model.maxDrafts);`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", script],
    cwd: ROOT,
    env: { DITTO_CACHE: temporary.path },
  });
  assertEquals(new TextDecoder().decode((await command.output()).stdout), "3\n");

  await Deno.writeTextFile(file, JSON.stringify({ ...known, maxRows: 1 }));
  const none = await decode();
  assert(none.stderr.includes("lookup is off"), none.stderr);
  assertEquals(none.report.drafted, 0);
  assertEquals(none.report.tokens, report.tokens);

  await Deno.writeTextFile(file, JSON.stringify({ ...known, maxRows: 3 }));
  await decode();
  assertEquals(JSON.parse(await Deno.readTextFile(file)).maxRows, 32, "nobody could find 3");
});
