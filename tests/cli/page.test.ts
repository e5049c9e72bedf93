/** The page of --html, as text and in a browser. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { type PageContent, pageHtml, type PagePass, pagePasses } from "../../cli/page/page.ts";
import { TempDir } from "../model/tiny_checkpoint.ts";
import { BrowserPage, findBrowser } from "./browser.ts";
import { FIXTURE, run } from "./process.ts";

/** Prompt "a b c a", answer "b c a </s>": the first pass copies "b c a" from 1, the second has no draft. */
const CONTENT: PageContent = {
  texts: ["a", " b", "<c>", "a", " b", "<c>", "a", "&\n\x1b", ""],
  pieces: [
    { pass: 0, tokens: [6, 7, 5, 9], text: "", drafted: 10, accepted: 3, source: 1, ngram: 1 },
    { pass: 1, tokens: [2], text: "", drafted: 0, accepted: 0, source: 0, ngram: 0 },
  ],
  result: {
    promptTokens: 4,
    cachedPromptTokens: 0,
    tokens: [6, 7, 5, 9, 2],
    text: "",
    passes: 2,
    drafted: 10,
    accepted: 3,
    stopReason: "eos",
    timing: { prefillMs: 10, decodeMs: 1000 },
    tokensPerPass: 2.5,
    tokensPerSecond: 5,
  },
  isLookup: true,
  model: "models/<b>",
  device: "a & b",
};

Deno.test("pagePasses() tells what each pass copied from where", () => {
  assertEquals(pagePasses(CONTENT), [
    { first: 4, length: 4, drafted: 10, source: 1, ngram: 1, copied: 3 },
    { first: 8, length: 1, drafted: 0, source: 0, ngram: 0, copied: 0 },
  ]);
});

/**
 * Prompt "a b c a", answer "b c a b a": the tree drafts more than the first pass follows. Its own token "a" stood behind
 * the source too, the second pass guesses.
 */
const TREE: PageContent = {
  ...CONTENT,
  texts: ["a", " b", "<c>", "a", " b", "<c>", "a", " b", "a"],
  pieces: [
    { pass: 0, tokens: [6, 7, 5], text: "", drafted: 5, accepted: 2, source: 1, ngram: 1 },
    { pass: 1, tokens: [6, 5], text: "", drafted: 3, accepted: 1, source: 4, ngram: 0 },
  ],
  result: { ...CONTENT.result, tokens: [6, 7, 5, 6, 5], drafted: 8, accepted: 3 },
};

Deno.test("a page knows no pass for text that an abort brought to light", () => {
  const rest = {
    pass: 1,
    tokens: [],
    text: "held back",
    drafted: 0,
    accepted: 0,
    source: 0,
    ngram: 0,
  };
  const content = { ...CONTENT, pieces: [...CONTENT.pieces, rest] };
  assertEquals(pagePasses(content), pagePasses(CONTENT));
  assertEquals(pageHtml(content), pageHtml(CONTENT));
});

Deno.test("pagePasses() takes for copied what was drafted, and not what only looks so", () => {
  const copied = (content: PageContent) => pagePasses(content).map(({ copied }) => copied);
  assertEquals(copied(TREE), [2, 1]);
  // An answer may end with a draft.
  const pieces = CONTENT.pieces.map((piece) => ({ ...piece, accepted: piece.tokens.length }));
  assertEquals(copied({ ...CONTENT, pieces }), [4, 1]);
});

Deno.test("pageHtml() holds the texts and nothing that they could break out of", () => {
  const html = pageHtml(CONTENT);
  assertStringIncludes(html, "<h1>5 tokens in 2 passes</h1>");
  assertStringIncludes(html, "models/&lt;b&gt; on a &amp; b");
  assertStringIncludes(html, '<span data-token="2">&lt;c&gt;</span>');
  assertStringIncludes(html, '<span data-token="4" data-pass="0" class="c0"> b</span>');
  assertStringIncludes(html, 'data-token="7" data-pass="0" class="c0 own newline">&amp;\n␛</span>');
  assertStringIncludes(html, 'data-token="8" data-pass="1" class="c1 own part"></span>');
  assertStringIncludes(html, "<dt>Passes saved</dt><dd>3 (60%)</dd>");
  assertStringIncludes(html, "<dt>Drafts accepted</dt><dd>3 of 10</dd>");
  assertEquals(/(src|href)="(?!data:)|https?:|url\(/.exec(html), null);
});

Deno.test("pageHtml() shows an answer that has nothing in it", () => {
  const result = { ...CONTENT.result, tokens: [], passes: 0, tokensPerPass: 0 };
  const html = pageHtml({ ...CONTENT, texts: ["a"], pieces: [], result });
  assertStringIncludes(html, "<h1>0 tokens in 0 passes</h1>");
  assertEquals(html.includes("NaN") || html.includes("Infinity"), false);
});

Deno.test("--html says at once that a page cannot be written", async () => {
  const page = "/no/such/directory/page.html";
  const args = ["--model", FIXTURE, "--prompt", "a", "--html", page];
  const { code, stdout, stderr } = await run(args);
  assertEquals(code, 1);
  assertEquals(stdout, "");
  assertEquals(stderr, `Cannot write ${page}: its directory does not exist.\n`);
});

const browser = findBrowser();
if (!browser) console.warn("Skipping the page's test in a browser: there is no chromium.");

Deno.test({ name: "the page says what the tree guessed", ignore: !browser }, async () => {
  await using directory = new TempDir();
  const file = `${directory.path}/page.html`;
  await Deno.writeTextFile(file, pageHtml(TREE));
  await using page = await BrowserPage.open(browser!, new URL(`file://${file}`));
  const details: string[] = [];
  for (let i = 0; i < 2; i++) {
    await page.press("ArrowRight");
    details.push(await page.evaluate('document.getElementById("detail").innerText'));
  }
  assertStringIncludes(details[0]!, "The token before it, “a”, stood before token 2 of the prompt");
  assertStringIncludes(details[0]!, "“ b<c>” was right, 2 of 5 drafted.");
  assertStringIncludes(
    details[1]!,
    "It guessed that the text goes on as it did at token 1 of the answer, though another token " +
      "stood before that: “ b” was right, 1 of 3 drafted.",
  );
  assertEquals(page.complaints, []);
});

Deno.test({ name: "the page of an answer without lookup says so", ignore: !browser }, async () => {
  await using directory = new TempDir();
  const file = `${directory.path}/page.html`;
  const pieces = [{ pass: 0, tokens: [6], text: "", drafted: 0, accepted: 0, source: 0, ngram: 0 }];
  const result = { ...CONTENT.result, tokens: [6], drafted: 0, accepted: 0 };
  await Deno.writeTextFile(file, pageHtml({ ...CONTENT, pieces, result, isLookup: false }));
  await using page = await BrowserPage.open(browser!, new URL(`file://${file}`));
  await page.press("ArrowRight");
  const detail = await page.evaluate('document.getElementById("detail").innerText');
  assertStringIncludes(detail, "It had no draft: lookup was off.");
  assertStringIncludes(
    await page.evaluate("document.body.innerText"),
    "nothing was copied, since lookup was off.",
  );
});

Deno.test(
  { name: "--html writes a page that shows where a token came from", ignore: !browser },
  async () => {
    await using directory = new TempDir();
    const file = `${directory.path}/page.html`;
    await Deno.writeTextFile(file, "x".repeat(1e6)); // what was there before is gone
    const prompt =
      'plt.xlim(25, 400)\nplt.ylim(25, 900)\nplt.title("salt")\n\nStart the x axis at 0.';
    // The original drafts whatever a row costs here.
    const lookup = ["--ignore-eos", "--drafter", "original"];
    const args = ["--model", FIXTURE, "--chat", "--prompt", prompt, "--html", file, ...lookup];
    const { code, stdout, stderr } = await run([...args, "--max-new-tokens", "120", "--json"]);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, `The page is in ${file}.`);
    const answer = JSON.parse(stdout);

    await using page = await BrowserPage.open(browser!, new URL(`file://${file}`));
    const passes: PagePass[] = JSON.parse(await page.evaluate("passes.textContent"));
    assertEquals(passes.length, answer.passes);
    assertEquals(passes.reduce((sum, { copied }) => sum + copied, 0), answer.accepted);
    const marked = (name: string): Promise<number[]> =>
      page.evaluate(`Array.from(document.querySelectorAll("span.${name}"), (token) =>
      Number(token.dataset.token))`);
    const numbers = (from: number, length: number) => Array.from({ length }, (_, i) => from + i);
    const detail = (): Promise<string> =>
      page.evaluate('document.getElementById("detail").innerText');
    const assertShown = async (pass: number) => {
      const { first, length, source, ngram, copied } = passes[pass]!;
      assertEquals(await marked("selected"), numbers(first, length));
      assertEquals(await marked("found"), numbers(source, copied));
      assertEquals(await marked("match"), numbers(source - ngram, ngram));
      assertMatch(
        await detail(),
        new RegExp(`^Pass ${pass + 1} of ${passes.length} added ${length}`),
      );
    };

    const pass = passes.findIndex(({ copied }) => copied > 0);
    assert(pass >= 0, "this answer copies nothing and tests nothing");
    const { first, source, copied } = passes[pass]!;
    await page.point(`[data-token="${first}"]`, true);
    await assertShown(pass);
    const text = (from: number) =>
      page.evaluate(`[...document.querySelectorAll("[data-token]")]
      .slice(${from}, ${from + copied}).map((token) => token.textContent).join("")`);
    assertEquals(await text(first), await text(source));

    const plain = passes.findIndex(({ drafted }) => drafted === 0);
    await page.point(`#answer [data-pass="${plain}"]`);
    await assertShown(pass); // a click keeps it
    await page.press("Escape");
    assertEquals(await marked("selected"), []);
    await page.point("h1");
    await page.point(`.hit[data-pass="${plain}"]`);
    assertMatch(await detail(), /had no draft/);
    assertEquals(await marked("found"), []);
    await page.point(`[data-token="${first}"]`);
    await assertShown(pass);
    await page.press("ArrowRight");
    await page.press("ArrowRight");
    assertMatch(await detail(), /^Pass 2 of/);

    const ground = async (scheme: string) => {
      const features = [{ name: "prefers-color-scheme", value: scheme }];
      await page.call("Emulation.setEmulatedMedia", { features });
      return await page.evaluate("getComputedStyle(document.body).backgroundColor");
    };
    assertNotEquals(await ground("light"), await ground("dark"));
    assertEquals(page.complaints, []);
    assertEquals(page.requests, [`file://${file}`, "data:,"].slice(0, page.requests.length));
  },
);
