/** The command line as a whole: `deno run -A decode.ts` in a process of its own. */
import { fileURLToPath } from "node:url";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { paint } from "../cli/terminal.ts";
import deno from "../deno.json" with { type: "json" };
import { loadModel } from "../mod.ts";
import { writeRandomCheckpoint } from "../tools/random_checkpoint.ts";
import { assertSentence, copyFixture, FIXTURE, ROOT, run } from "./cli/process.ts";
import { tracesOrNull } from "./decode/traces.ts";
import { TempDir } from "./model/tiny_checkpoint.ts";

const PROMPT = "let total = 1; let total = 2; let total = 3; let";
const BASE = ["--model", FIXTURE, "--prompt", PROMPT, "--max-new-tokens", "24", "--ignore-eos"];

/** How a colour begins. */
const COLOR = "\x1b[3";

const KEYS = "promptTokens tokens text passes drafted accepted stopReason timing tokensPerPass " +
  "tokensPerSecond device";

Deno.test("decode.ts runs a model in Hugging Face's cache by its name", async () => {
  await using cache = new TempDir();
  const repository = `${cache.path}/hub/models--org--tiny-7B`;
  await Deno.mkdir(`${repository}/refs`, { recursive: true });
  await Deno.mkdir(`${repository}/snapshots/0123abc`, { recursive: true });
  await Deno.writeTextFile(`${repository}/refs/main`, "0123abc");
  await copyFixture(`${repository}/snapshots/0123abc`);
  const env = { HF_HOME: cache.path, HF_HUB_CACHE: "", HUGGINGFACE_HUB_CACHE: "" };
  const named = await run([...BASE, "--model", "org/tiny-7B"], { env });
  assertEquals([named.code, named.stdout], [0, (await run(BASE)).stdout], named.stderr);
  const missing = await run([...BASE, "--model", "org/other"], { env });
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.stderr, "hf download org/other");
});

Deno.test("decode.ts streams the answer to standard output and its figures to standard error", async () => {
  // What the tree drafts, and with it the passes, depends on costs that every load measures.
  const args = [...BASE, "--drafter", "original"];
  using model = await loadModel(new URL(FIXTURE, ROOT));
  const options = { maxNewTokens: 24, ignoreEos: true, drafter: "original" } as const;
  const generation = model.generate(PROMPT, options);
  let [plain, colored] = ["", ""];
  for await (const { text, pass } of generation) {
    plain += text;
    colored += paint(text, pass);
  }
  const { passes } = await generation.result();

  const outcome = await run(args);
  assertEquals(outcome.code, 0, outcome.stderr);
  assertEquals(outcome.stdout, plain.endsWith("\n") ? plain : `${plain}\n`);
  assertMatch(outcome.stderr, new RegExp(`^24 tokens in ${passes} passes: .*\nprefill .*\n$`));

  const painted = await run([...args, "--color", "--quiet"], { env: { NO_COLOR: "1" } });
  assertEquals(painted.stdout.replace(/\n$/, ""), colored.replace(/\n$/, ""));
  assertEquals(painted.stderr, "");
});

Deno.test("decode.ts --json prints one object, and the same answer with lookup and without", async () => {
  const results = [];
  for (const lookup of [["--num-draft", "31"], ["--no-lookup"]]) {
    const args = [...BASE, "--json", "--logits-digest", "--quiet", ...lookup];
    const { code, stdout, stderr } = await run(args);
    assertEquals(code, 0, stderr);
    assertEquals(stderr, "");
    assertMatch(stdout, /^\{.*\}\n$/);
    results.push(JSON.parse(stdout));
  }
  const [fast, plain] = results;
  assertEquals(Object.keys(fast).join(" "), `${KEYS} logitsDigest`);
  assertEquals(Object.keys(fast.timing), ["loadMs", "prefillMs", "decodeMs"]);
  assertMatch(fast.logitsDigest, /^[0-9a-f]{64}$/);
  assertEquals(fast.tokens.length, 24);
  assertEquals(fast.stopReason, "length");
  assertEquals(plain.drafted, 0);
  assertEquals(plain.passes, 24);
  for (const key of ["promptTokens", "tokens", "text", "stopReason", "logitsDigest", "device"]) {
    assertEquals(fast[key], plain[key], key);
  }
});

Deno.test("decode.ts takes the prompt from all its sources", async () => {
  await using directory = new TempDir();
  using model = await loadModel(new URL(FIXTURE, ROOT));
  const answer = async (args: string[], stdin = "") => {
    const base = ["--model", FIXTURE, "--max-new-tokens", "6", "--ignore-eos", "--json", "--quiet"];
    const { code, stdout, stderr } = await run([...base, ...args], { stdin });
    assertEquals(code, 0, stderr);
    const { promptTokens, tokens, logitsDigest } = JSON.parse(stdout);
    assertEquals(logitsDigest, undefined);
    return { promptTokens, tokens };
  };
  const expected = async (prompt: string | number[] | { role: string; content: string }[]) => {
    const options = { maxNewTokens: 6, ignoreEos: true };
    const { promptTokens, tokens } = await model.generate(prompt, options).result();
    return { promptTokens, tokens };
  };
  const text = "Zwölf Wörter\nund ein Zeilenende\n";
  const file = `${directory.path}/prompt.txt`;
  const ids = `${directory.path}/prompt.json`;
  await Deno.writeTextFile(file, text);
  await Deno.writeTextFile(ids, "[1, 5, 5, 9]");

  assertEquals(await answer(["--prompt-file", file]), await expected(text));
  assertEquals(await answer([], text), await expected(text));
  assertEquals(await answer(["--prompt-ids", ids]), await expected([1, 5, 5, 9]));
  const chat = await expected([{ role: "user", content: text }]);
  assertEquals(await answer(["--chat", "--prompt-file", file]), chat);
  assertNotEquals(chat, await expected(text));
});

Deno.test("decode.ts goes on with a chat of several turns", async () => {
  await using directory = new TempDir();
  const path = (name: string) => `${directory.path}/${name}`;
  const turn = (role: string, content: string) => ({ role, content });
  const messages = [turn("user", "Say b c"), turn("assistant", "b c"), turn("user", "Once more")];
  await directory.write({
    "chat.json": messages,
    "roles.json": [turn("system", "Be brief."), ...messages],
    "content.json": [turn("user", "Say b c"), { role: "assistant" }],
    "parts.json": [{ role: "user", content: [{ type: "text", text: "Say b c" }] }],
    "none.json": [],
    "body.json": { messages },
  });
  const tail = ["--max-new-tokens", "8", "--ignore-eos"];
  const digest = ["--json", "--logits-digest", "--html", path("page.html")];
  const base = ["--model", FIXTURE, ...tail, ...digest];
  const { code, stdout, stderr } = await run([...base, "--messages", path("chat.json")]);
  assertEquals(code, 0, stderr);
  using model = await loadModel(new URL(FIXTURE, ROOT));
  const options = { maxNewTokens: 8, ignoreEos: true, logitsDigest: true };
  const expected = await model.generate(messages, options).result();
  const { promptTokens, tokens, logitsDigest } = JSON.parse(stdout);
  assertEquals(promptTokens, expected.promptTokens);
  assertEquals(tokens, expected.tokens);
  assertEquals(logitsDigest, expected.logitsDigest);
  const page = await Deno.readTextFile(path("page.html"));
  assertStringIncludes(page.replace(/<[^>]+>/g, ""), "Once more");

  await using plain = new TempDir(); // a checkpoint without a chat template
  for (const { name } of Deno.readDirSync(new URL(FIXTURE, ROOT))) {
    await Deno.copyFile(new URL(`${FIXTURE}/${name}`, ROOT), `${plain.path}/${name}`);
  }
  await plain.write({ "tokenizer_config.json": {} });
  for (
    const [model, file, part] of [
      [FIXTURE, "roles.json", 'refuses these messages (["system","user","assistant","user"])'],
      [FIXTURE, "content.json", 'Message 1 is {"role":"assistant"}'],
      [FIXTURE, "parts.json", "Message 0 is"],
      [FIXTURE, "none.json", `${path("none.json")} holds an empty array`],
      [FIXTURE, "body.json", `${path("body.json")} holds an object`],
      [plain.path, "chat.json", "has no chat template"],
    ] as const
  ) {
    const { code, stdout, stderr } = await run(["--model", model, "--messages", path(file)]);
    assertEquals([code, stdout], [1, ""], stderr);
    assertStringIncludes(stderr, part);
    assertSentence(stderr);
  }
});

Deno.test("decode.ts begins a chat with the system's turn", async () => {
  await using directory = new TempDir();
  const fixture = fileURLToPath(new URL(FIXTURE, ROOT));
  for (const { name } of Deno.readDirSync(fixture)) {
    await Deno.copyFile(`${fixture}/${name}`, `${directory.path}/${name}`);
  }
  const chat_template =
    "{% for turn in messages %}{{ turn.role }}: {{ turn.content }} {% endfor %}";
  await directory.write({ "tokenizer_config.json": { chat_template } });
  const args = ["--chat", "--system", "Be brief.", "--prompt", "Say", "--max-new-tokens", "1"];
  const { code, stdout, stderr } = await run(["--model", directory.path, ...args, "--json"]);
  assertEquals(code, 0, stderr);
  using model = await loadModel(directory.path);
  const turns = [{ role: "system", content: "Be brief." }, { role: "user", content: "Say" }];
  assertEquals(JSON.parse(stdout).promptTokens, model.tokenize(turns).length);
  // Mistral's own first templates know no such turn.
  const refused = await run(["--model", FIXTURE, ...args]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, 'refuses these messages (["system","user"])');
});

Deno.test("decode.ts answers in token ids where the checkpoint has no tokenizer", async () => {
  await using directory = new TempDir();
  const ids = `${directory.path}/prompt.json`;
  await Deno.writeTextFile(ids, "[1, 5, 5, 9]");
  const model = "tests/fixtures/odd-f32";
  const args = ["--model", model, "--prompt-ids", ids, "--max-new-tokens", "5", "--ignore-eos"];
  const { code, stdout, stderr } = await run(args);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^(\d+ ){5}\n$/);
});

Deno.test("decode.ts takes the context that prompt and answer need", async () => {
  await using directory = new TempDir();
  await copyFixture(directory.path);
  const file = `${directory.path}/config.json`;
  const config = JSON.parse(await Deno.readTextFile(file));
  await Deno.writeTextFile(file, JSON.stringify({ ...config, max_position_embeddings: 20_000 }));
  const ids = Array.from({ length: 3800 }, (_, i) => 5 + i % 90);
  await Deno.writeTextFile(`${directory.path}/ids.json`, JSON.stringify(ids));
  const { code, stdout, stderr } = await run([
    ...["--model", directory.path, "--prompt-ids", `${directory.path}/ids.json`],
    ...["--max-new-tokens", "300", "--ignore-eos", "--json", "--quiet"],
  ]);
  assertEquals(code, 0, stderr);
  const { promptTokens, tokens } = JSON.parse(stdout);
  assertEquals([promptTokens, tokens.length], [3800, 300]); // 4 more than 4096
});

Deno.test(
  {
    name: "./run decode names files as from where it is started, and ./run runs examples",
    ignore: Deno.build.os === "windows",
  },
  async () => {
    await using dir = new TempDir();
    await dir.write({ "prompt.txt": "Say" });
    await Deno.symlink(fileURLToPath(new URL("run", ROOT)), `${dir.path}/ditto`);
    const model = fileURLToPath(new URL(FIXTURE, ROOT));
    const args = [
      "decode",
      "--model",
      model,
      "--prompt-file",
      "prompt.txt",
      "--max-new-tokens",
      "2",
    ];
    const path = `${Deno.execPath().replace(/\/[^/]+$/, "")}:${Deno.env.get("PATH")}`;
    const command = new Deno.Command(`${dir.path}/ditto`, {
      args: [...args, "--html", "page.html"],
      cwd: dir.path,
      env: { PATH: path },
      stdin: "null",
    });
    const { code, stderr } = await command.output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    assertStringIncludes(await Deno.readTextFile(`${dir.path}/page.html`), "</html>");
    for (const [task, script] of [["chat", "chat.ts"], ["serve", "server.ts"]] as const) {
      const env = { PATH: path };
      const { code, stderr } = await new Deno.Command(`${dir.path}/ditto`, { args: [task], env })
        .output();
      assertEquals(code, 2);
      assertStringIncludes(new TextDecoder().decode(stderr), `examples/${script}`);
    }
  },
);

Deno.test("decode.ts tells about itself and the devices", async () => {
  const help = await run(["--help"]);
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "--logits-digest");
  const version = await run(["--version"]);
  assertEquals(version.stdout, `ditto ${deno.version}\n`);
  const devices = await run(["--list-devices"]);
  assertMatch(devices.stdout, /^(.+: (software|hardware), .*buffers up to .*\n)+$/);
  assertEquals(help.stderr + version.stderr + devices.stderr, "");
});

/** util-linux's `script` gives a process a terminal, unless it is not there or a container has none to give. */
const hasTerminal = Deno.build.os === "linux" &&
  await new Deno.Command("script", { args: ["-qec", "true", "/dev/null"], stdin: "null" }).output()
    .then(({ success }) => success, () => false);
if (!hasTerminal) console.warn("Skipping the tests on a terminal: `script` gives none here.");

Deno.test({
  name: "On a terminal the answer is coloured, unless NO_COLOR says no",
  ignore: !hasTerminal,
}, async () => {
  const line = ["deno", "run", "-A", "decode.ts", ...BASE].map((word) => `'${word}'`).join(" ");
  const onTerminal = async (NO_COLOR: string) => {
    const command = new Deno.Command("script", {
      args: ["-qec", line, "/dev/null"],
      cwd: ROOT,
      env: { NO_COLOR, PATH: `${Deno.execPath().replace(/\/[^/]+$/, "")}:${Deno.env.get("PATH")}` },
      stdin: "null",
    });
    const { code, stdout, stderr } = await command.output();
    const [shown, complaint] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals(code, 0, shown! + complaint!);
    return shown!;
  };
  const colored = await onTerminal("");
  assertStringIncludes(colored, COLOR);
  assertStringIncludes(colored, "Loading [");
  assertStringIncludes(colored, "Preparing kernels");
  const plain = await onTerminal("1");
  assert(!plain.includes(COLOR), plain);
});

const REAL_TOKENIZER = new URL("../../shared/tokenizer/", import.meta.url);
const traces = await tracesOrNull();
if (!traces) console.warn("Skipping the real tokenizer's articles: there is no ../shared/traces.");

Deno.test(
  { name: "decode.ts reads real articles with the real tokenizer", ignore: !traces },
  async () => {
    await using directory = new TempDir();
    const model = `${directory.path}/model`;
    await writeRandomCheckpoint({
      architectures: ["MistralForCausalLM"],
      vocab_size: 32000,
      hidden_size: 64,
      intermediate_size: 128,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      max_position_embeddings: 32768,
      bos_token_id: 1,
      eos_token_id: 2,
    }, model);
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(new URL(name, REAL_TOKENIZER), `${model}/${name}`);
    }
    const articles = traces!.filter(({ task }) => task === "cnn_dm");
    for (const { prompt, prompt_ids } of [articles[0]!, articles.at(-1)!]) {
      const file = `${directory.path}/article.txt`;
      await Deno.writeTextFile(file, prompt);
      const args = [
        "--model",
        model,
        "--prompt-file",
        file,
        "--max-new-tokens",
        "32",
        "--ignore-eos",
      ];
      const results = [];
      for (const lookup of [[], ["--no-lookup"]]) {
        const { code, stdout, stderr } = await run([
          ...args,
          "--json",
          "--logits-digest",
          ...lookup,
        ]);
        assertEquals(code, 0, stderr);
        results.push(JSON.parse(stdout));
      }
      const [fast, plain] = results;
      assertEquals(fast.promptTokens, prompt_ids.length);
      assertEquals(fast.tokens, plain.tokens);
      assertEquals(fast.logitsDigest, plain.logitsDigest);
    }
  },
);

Deno.test("decode.ts --save-quantized writes a model that answers as --quantize does", async () => {
  await using dir = new TempDir();
  const target = `${dir.path}/q4`;
  const saved = await run(["--model", FIXTURE, "--quantize", "q4", "--save-quantized", target]);
  assertEquals(saved.code, 0, saved.stderr);
  assertMatch(saved.stderr, /^The model in q4 is in .*q4: \d+ kB\.\n$/);
  const args = ["--prompt", PROMPT, "--max-new-tokens", "12", "--ignore-eos", "--json", "--quiet"];
  const answers = [];
  for (const model of [["--model", target], ["--model", FIXTURE, "--quantize", "q4"]]) {
    const { code, stdout, stderr } = await run([...model, ...args, "--logits-digest"]);
    assertEquals(code, 0, stderr);
    answers.push(JSON.parse(stdout));
  }
  assertEquals(answers[0].tokens, answers[1].tokens);
  assertEquals(answers[0].logitsDigest, answers[1].logitsDigest);
  const again = await run(["--model", FIXTURE, "--quantize", "q4", "--save-quantized", target]);
  assertEquals(again.code, 1);
  assertStringIncludes(again.stderr, "give a new or an empty one");
});
