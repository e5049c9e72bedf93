import { assertEquals } from "@std/assert";
import { bytesText, countText, jsonReport, msText, summary } from "../../cli/figures.ts";
import { progressLine } from "../../cli/progress_bar.ts";
import type { GenerationResult } from "../../mod.ts";

const RESULT: GenerationResult = {
  promptTokens: 131,
  cachedPromptTokens: 30,
  tokens: [5, 6, 7, 8, 2],
  text: "abc",
  passes: 2,
  drafted: 4,
  accepted: 3,
  stopReason: "eos",
  timing: { prefillMs: 50, decodeMs: 2500 },
  tokensPerPass: 2.5,
  tokensPerSecond: 2,
};

Deno.test("summary() says what an answer took", () => {
  assertEquals(
    summary(RESULT),
    "5 tokens in 2 passes: 2.50 tokens per pass; 3 of 4 drafts accepted\n" +
      "prefill 50 ms for 100 of 131 tokens (2000 tokens a second), decode 2.50 s (2.0 tokens a second); " +
      "ended by the model",
  );
  const none = {
    promptTokens: 1,
    cachedPromptTokens: 0,
    tokens: [9],
    passes: 1,
    drafted: 0,
    accepted: 0,
  };
  const timing = { prefillMs: 0, decodeMs: 0 };
  assertEquals(
    summary({ ...RESULT, ...none, timing, tokensPerPass: 1, stopReason: "aborted" }),
    "1 token in 1 pass: 1.00 tokens per pass; 0 of 0 drafts accepted\n" +
      "prefill 0 ms for 0 of 1 token (0 tokens a second), decode 0 ms (2.0 tokens a second); interrupted",
  );
  assertEquals(
    summary({ ...RESULT, tokens: [], passes: 0, stopReason: "aborted" }),
    "The prompt of 131 tokens was interrupted after 50 ms.",
  );
});

Deno.test("jsonReport() has the keys that were promised, in their order", () => {
  const keys = (result: GenerationResult) => Object.keys(JSON.parse(jsonReport(result, 7, "gpu")));
  const expected = "promptTokens tokens text passes drafted accepted stopReason timing " +
    "tokensPerPass tokensPerSecond device";
  assertEquals(keys(RESULT).join(" "), expected);
  assertEquals(keys({ ...RESULT, logitsDigest: "00" }).join(" "), `${expected} logitsDigest`);
  const { timing, device } = JSON.parse(jsonReport(RESULT, 7, "gpu"));
  assertEquals(timing, { loadMs: 7, prefillMs: 50, decodeMs: 2500 });
  assertEquals(device, "gpu");
});

Deno.test("Figures read as a person writes them", () => {
  assertEquals([0, 999, 1000, 14_483_500_000, 999_600, 2e15].map(bytesText), [
    "0 B",
    "999 B",
    "1 kB",
    "14.5 GB",
    "1 MB",
    "2000 TB",
  ]);
  assertEquals([0.4, 999, 1516].map(msText), ["0 ms", "999 ms", "1.52 s"]);
  assertEquals(countText(1, "pass", "passes"), "1 pass");
  assertEquals(countText(0, "pass", "passes"), "0 passes");
});

Deno.test("progressLine() shows bytes and rate, from nothing to all", () => {
  assertEquals(
    progressLine(7_250_000_000, 14_500_000_000, 2000),
    "Loading [###############---------------]  50%  7.25 GB of 14.5 GB, 3.63 GB/s",
  );
  assertEquals(
    progressLine(0, 100, 0),
    "Loading [------------------------------]   0%  0 B of 100 B, 0 B/s",
  );
  assertEquals(
    progressLine(100, 100, 1000),
    "Loading [##############################] 100%  100 B of 100 B, 100 B/s",
  );
});
