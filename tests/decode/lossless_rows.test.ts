/**
 * What loading does about a compiler that does not treat every number of rows alike. None was at hand: shaders are spoiled
 * on their way to it, by one unit in the last place.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { isLosslessRows } from "../../decode/lossless_rows.ts";
import { type LanguageModel, loadModel, type LoadOptions } from "../../mod.ts";
import { FIXTURE, run } from "../cli/process.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { rowCosts } from "./one_model.ts";

const permissions = { read: true }; // so that what was found before is not found again, and all is tried
const fixture = (name: string) => new URL(`../fixtures/${name}`, import.meta.url);

Deno.test(
  { name: "passes of up to 32 rows are lossless on this device", permissions },
  async () => {
    const loads: [string, LoadOptions][] = [
      ["tiny-gqa-bf16", {}],
      ["tiny-gqa-bf16", { context: 2 }],
      ["window-f32", { kvCache: "f32" }],
      ["odd-f32", { context: 40 }],
      ["nemo-bf16", { quantize: "q4" }],
      ["mistral-fp8", {}],
    ];
    for (const [name, options] of loads) {
      using model = await loadModel(fixture(name), { context: 400, ...options });
      assertEquals([name, model.maxDrafts], [name, 31]);
    }
  },
);

/** Makes a shader's results depend on what they must not depend on, until it is disposed of. */
function spoilWhere(condition: string): Disposable {
  const { createShaderModule } = GPUDevice.prototype;
  let spoiled = 0;
  GPUDevice.prototype.createShaderModule = function ({ code, ...others }) {
    const found = code.replaceAll(
      "let y = sums * scales;", // of qkv, gate and up, and the head
      `let y = sums * scales * select(1.0, 1.0000001192, ${condition});`,
    );
    if (found !== code) spoiled++;
    return createShaderModule.call(this, { ...others, code: found });
  };
  return {
    [Symbol.dispose]() {
      GPUDevice.prototype.createShaderModule = createShaderModule;
      assertEquals(spoiled, 3, "the kernels read otherwise now: so must what this looks for");
    },
  };
}

async function loadSpoiled(condition: string, options: LoadOptions): Promise<LanguageModel> {
  using _ = spoilWhere(condition);
  return await loadModel(fixture("tiny-gqa-bf16"), { context: 400, ...options });
}

for (
  const [condition, maxDrafts, tooMany] of [
    ["rows.count >= 2u", 0, 1],
    ["rows.count == 4u", 1, 3],
    ["row == 5u", 3, 7],
    ["row == 31u", 15, 31],
  ] as const
) {
  const name = `a model checks ${maxDrafts} drafts at most where ${condition} changes a row's bits`;
  Deno.test({ name, permissions }, async () => {
    using model = await loadSpoiled(condition, {});
    assertEquals(model.maxDrafts, maxDrafts);
    // Its text repeats itself, and each replayed token is a draft's too.
    const prompt = Array.from({ length: 200 }, (_, i) => 3 + i % 10);
    const replay = Array.from({ length: 40 }, (_, i) => 3 + i % 10);
    const answer = (model: LanguageModel, promptLookupNumTokens: number) =>
      model.generate(prompt, {
        replay,
        drafter: "original",
        promptLookupNumTokens,
        logitsDigest: true,
        ignoreEos: true,
        cachePrompt: false,
      }).result();
    const [plain, lookup] = [await answer(model, 0), await answer(model, tooMany)];
    assertEquals(lookup.logitsDigest, plain.logitsDigest);
    assertEquals(lookup.passes, Math.ceil(40 / (1 + maxDrafts)));
    // Where nothing is tried, the same kernels give other bits: what was tried made the difference.
    using untried = await loadSpoiled(condition, { rowCosts });
    assertEquals(untried.maxDrafts, 31);
    const [without, other] = [await answer(untried, 0), await answer(untried, tooMany)];
    assertEquals(without.logitsDigest, plain.logitsDigest);
    assertNotEquals(other.logitsDigest, plain.logitsDigest);
  });
}

Deno.test("isLosslessRows() takes what can have been found", () => {
  for (const rows of [1, 2, 4, 8, 16, 32]) assert(isLosslessRows(rows));
  for (const value of [0, 3, 33, -1, NaN, "8", null, undefined, [8], {}]) {
    assert(!isLosslessRows(value), Deno.inspect(value));
  }
});

Deno.test("what was found is remembered, and decode.ts tells of it where it is less than all", async () => {
  await using temporary = new TempDir();
  const decode = async () => {
    const args = ["--model", FIXTURE, "--prompt", "a b a b a b a", "--context", "64", "--json"];
    const { code, stdout, stderr } = await run(args, { env: { DITTO_CACHE: temporary.path } });
    assertEquals(code, 0, stderr);
    const [entry] = Array.from(Deno.readDirSync(temporary.path));
    return { report: JSON.parse(stdout), stderr, file: `${temporary.path}/${entry?.name}` };
  };
  const { stderr, file, report } = await decode();
  if (file.endsWith("undefined")) return; // the device has no clock, so nothing is remembered
  assert(!stderr.includes("to the bit"), stderr);
  const known = JSON.parse(await Deno.readTextFile(file));
  assertEquals(known.maxRows, 32);

  await Deno.writeTextFile(file, JSON.stringify({ ...known, maxRows: 4 }));
  const few = await decode();
  assert(few.stderr.includes("lookup drafts 3 tokens a pass at most"), few.stderr);
  assert(few.report.drafted <= 3 * few.report.passes);
  assertEquals(few.report.tokens, report.tokens);

  await Deno.writeTextFile(file, JSON.stringify({ ...known, maxRows: 1 }));
  const none = await decode();
  assert(none.stderr.includes("lookup is off"), none.stderr);
  assertEquals(none.report.drafted, 0);
  assertEquals(none.report.tokens, report.tokens);

  await Deno.writeTextFile(file, JSON.stringify({ ...known, maxRows: 3 }));
  await decode();
  assertEquals(JSON.parse(await Deno.readTextFile(file)).maxRows, 32, "nobody could find 3");
});
