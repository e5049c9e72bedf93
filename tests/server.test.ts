/** examples/server.ts, asked by clients of every kind. */
import { assertEquals, assertMatch } from "@std/assert";
import { ROOT } from "./cli/process.ts";
import { example, MODEL } from "./example.ts";

const posix = { ignore: Deno.build.os === "windows" }; // without, processes cannot be sent signals

/** Runs examples/server.ts while `body` asks it, and ends it, which takes it no long time. */
async function serving(
  body: (url: string) => Promise<void>,
  { end = "SIGTERM", args = [], exitCode = 0 }: {
    end?: Deno.Signal;
    args?: readonly string[];
    exitCode?: number;
  } = {},
): Promise<void> {
  const preload = ["--preload", "tests/lose_device.ts"];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...preload, "examples/server.ts", MODEL, "--port", "0", ...args],
    cwd: ROOT,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    await body((await reader.read()).value!.trim());
  } finally {
    child.kill(end);
    await reader.cancel();
    const killer = setTimeout(() => child.kill("SIGKILL"), 20_000);
    assertEquals((await child.status).code, exitCode);
    clearTimeout(killer);
  }
}

type Asked = Record<string, unknown>;

function post(url: string, body: unknown, signal: AbortSignal | null = null): Promise<Response> {
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  return fetch(url, {
    method: "POST",
    body: isRaw ? body as BodyInit : JSON.stringify(body),
    signal,
  });
}

/** What a stream of events says, but for its last line. */
async function events(response: Response) {
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const lines = (await response.text()).trimEnd().split("\n\n");
  assertEquals(lines.pop(), "data: [DONE]");
  return lines.map((line) => JSON.parse(line.replace(/^data: /, "")));
}

const user = (content: unknown) => ({ role: "user", content });

Deno.test("examples/server.ts says in a sentence why it does not begin", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String((taken.addr as Deno.NetAddr).port);
  for (
    const [args, exitCode, sentence] of [
      [["/no/such"], 1, /^Cannot open the model directory \/no\/such: it does not exist\.\n$/],
      // Before anything is loaded.
      [
        ["/no/such", "--port", port],
        1,
        new RegExp(`^Cannot listen at port ${port} of 127\\.0\\.0\\.1: .+--port N\\.\n$`),
      ],
      [[MODEL, "--port", "x"], 1, /^Cannot listen at port x of .+--port N\.\n$/],
      [
        [MODEL, "--host", "192.0.2.1"],
        1,
        /^Cannot listen at port 0 of 192\.0\.2\.1: .+--host HOST, .+\n$/,
      ],
      [[MODEL, "--context", "1"], 1, /^The option context is 1: .+\.\n$/],
      [[MODEL, "--quantize", "q5"], 1, /^The option quantize is "q5": .+\.\n$/],
      [[MODEL, "--prot", "1"], 2, /^Usage: .+\n$/],
      [[MODEL, "8080"], 2, /^Usage: .+\n$/],
    ] as const
  ) {
    const onPort = (args as readonly string[]).includes("--port") ? args : [...args, "--port", "0"];
    const { code, stdout, stderr } = await example("server.ts", ...onPort);
    assertEquals([code, stdout], [exitCode, ""], stderr);
    assertMatch(stderr, sentence);
  }
});

Deno.test(
  { name: "examples/server.ts has the context and the bits it is asked for", ...posix },
  () =>
    serving(
      async (url) => {
        const messages = [user("a ".repeat(700))];
        const response = await post(`${url}/chat/completions`, { messages });
        const { error: { message } } = await response.json();
        assertMatch(message, /^The prompt has \d+ tokens, and the context holds 600, /);
        const short = [user("Set limit to 9:\nlimit = 4\noffset = 12")];
        const { choices: [{ message: { content } }] } =
          await (await post(`${url}/chat/completions`, {
            messages: short,
            seed: -1,
            max_tokens: -1,
          })).json();
        assertEquals(content, "limit = 9\noffset = 12");
      },
      { args: ["--context", "600", "--quantize", "q8"] },
    ),
);

Deno.test(
  { name: "examples/server.ts answers, streamed as at once", ...posix },
  () =>
    serving(async (url) => {
      const chat = async (asked: Asked) =>
        await (await post(`${url}/chat/completions`, asked)).json();
      const { data: [{ id }] } = await (await fetch(`${url}/models`)).json();
      assertEquals(id, "ditto-tiny");

      const messages = [user("Rename 'node_list' to 'tree': first = get_edge(node_list, depth)")];
      const first = await chat({ model: "any", messages });
      assertEquals([first.object, first.model], ["chat.completion", "ditto-tiny"]);
      const [{ message, finish_reason }] = first.choices;
      const answer = "first = get_edge(tree, depth)";
      assertEquals(message, { role: "assistant", content: answer });
      assertEquals(finish_reason, "stop");
      const { prompt_tokens, completion_tokens, total_tokens } = first.usage;
      assertEquals(total_tokens, prompt_tokens + completion_tokens);
      assertEquals(first.usage.prompt_tokens_details, { cached_tokens: 0 });

      const include_usage = { stream: true, stream_options: { include_usage: true } };
      const asked = { messages, ...include_usage };
      const chunks = await events(await post(`${url}/chat/completions`, asked));
      const { choices, usage } = chunks.pop();
      assertEquals([choices, usage.completion_tokens], [[], completion_tokens]);
      const deltas = chunks.map(({ choices: [{ delta }] }) => delta);
      assertEquals(deltas[0], { role: "assistant", content: "" });
      assertEquals(deltas.map(({ content = "" }) => content).join(""), answer);
      const reasons = chunks.map(({ choices: [{ finish_reason }] }) => finish_reason);
      assertEquals(reasons, [...new Array(chunks.length - 1).fill(null), "stop"]);
      assertEquals(chunks.length > 3, true);

      // The next turn, in parts, reads only what is new.
      const parts = ["No, call ", "it 'graph'."].map((text) => ({ type: "text", text }));
      const before = [{ ...messages[0], name: "Ann" }, {
        ...message,
        refusal: null,
        tool_calls: [],
      }];
      const next = await chat({ messages: [...before, user(parts)], max_tokens: null });
      assertEquals(next.choices[0].message.content, "first = get_edge(graph, depth)");
      const { cached_tokens } = next.usage.prompt_tokens_details;
      assertEquals(
        cached_tokens >= prompt_tokens - 1,
        true,
        `${cached_tokens} of ${prompt_tokens}`,
      );

      const short = await chat({
        messages,
        max_completion_tokens: 3,
        max_tokens: 9,
        n: 1,
        tools: [],
        functions: null,
        tool_choice: "auto",
        parallel_tool_calls: true,
        prediction: { type: "content", content: "first" },
      });
      assertEquals([short.choices[0].finish_reason, short.usage.completion_tokens], ["length", 3]);
      for (const stop of ["get", ["zzz", "get"]]) {
        const { choices: [stopped] } = await chat({ messages, stop });
        assertEquals([stopped.message.content, stopped.finish_reason], ["first = ", "stop"]);
      }
      const drawn = { messages, temperature: 5, top_p: 0.99, top_k: -1, min_p: 0, max_tokens: 20 };
      const draw = async (seed?: number) =>
        (await chat({ ...drawn, seed })).choices[0].message.content;
      assertEquals(await draw(7), await draw(7));
      assertEquals(await draw() === await draw(), false, "drawn alike without a seed");

      const text = { prompt: "let total = 1; let", max_tokens: 5 };
      const plain = await (await post(`${url}/completions`, text)).json();
      const pieces = await events(await post(`${url}/completions`, { ...text, stream: true }));
      assertEquals([plain.object, plain.choices[0].finish_reason], ["text_completion", "length"]);
      assertEquals(pieces.map(({ choices: [{ text }] }) => text).join(""), plain.choices[0].text);
      assertEquals(plain.choices[0].text.length > 0, true);
      const { choices: [{ text: listed }] } =
        await (await post(`${url}/completions`, { ...text, prompt: [text.prompt] })).json();
      assertEquals(listed, plain.choices[0].text);
      const ids = [5, 600, 7];
      const [one, other] = await Promise.all(
        [ids, [ids]].map(async (
          prompt,
        ) => (await (await post(`${url}/completions`, { ...text, prompt })).json())),
      );
      assertEquals([one.usage.prompt_tokens, other.choices], [3, one.choices]);
    }),
);

Deno.test(
  { name: "examples/server.ts lets requests wait, and forgets who went away", ...posix },
  () =>
    serving(async (url) => {
      const ask = (content: string, signal?: AbortSignal, stream = false) =>
        post(
          `${url}/chat/completions`,
          { messages: [user(content)], max_tokens: 2500, stream },
          signal,
        );
      const contentOf = async (response: Promise<Response>) =>
        (await (await response).json()).choices[0].message.content;
      const short = "Set limit to 9:\nlimit = 4\noffset = 12";
      const answer = "limit = 9\noffset = 12";
      const lines = Array.from({ length: 30 }, (_, i) => `  price += ${i};`); // has no end
      const long = `Rename price to total:\n${lines.join("\n")}`;

      const start = performance.now();
      const both = await Promise.all([contentOf(ask(long)), contentOf(ask(short))]);
      const longMs = performance.now() - start;
      assertEquals(both[0].length > 1500, true, both[0]);
      assertEquals(both[1], answer);

      // A stream begins while it waits, so that its client knows that it is not forgotten.
      const leave = new AbortController();
      let isAnswered = false;
      const before = contentOf(ask(long, leave.signal)).then(() => isAnswered = true, () => {});
      const { body } = await post(`${url}/completions`, { prompt: "let", stream: true });
      assertEquals(isAnswered, false);
      leave.abort();
      await body!.cancel();
      await before;

      // One that is streamed, one that is not, and one that waits; the last is answered before the first would have been.
      for (const stream of [true, false]) {
        const abort = new AbortController();
        const all = [
          ask(long, abort.signal, stream),
          ask(long, abort.signal),
          ask(long, abort.signal),
        ];
        if (stream) await (await all[0]!).body!.getReader().read();
        else await new Promise((resolve) => setTimeout(resolve, 100));
        const left = performance.now();
        abort.abort();
        await Promise.allSettled(all);
        assertEquals(await contentOf(ask(short)), answer);
        const waitedMs = performance.now() - left;
        // One dead answer takes longMs. That a client is gone is seen between two waits for the GPU: in a second, on a CPU.
        assertEquals(waitedMs < 0.7 * longMs, true, `waited ${waitedMs} ms; it takes ${longMs}`);
      }
    }),
);

Deno.test(
  { name: "examples/server.ts refuses what it cannot do, by name", ...posix },
  () =>
    serving(async (url) => {
      const messages = [user("Set limit to 9:\nlimit = 4")];
      const image = user([{ type: "image_url", image_url: { url: "data:," } }]);
      for (
        const [body, sentence] of [
          ["{", /^The request is not JSON: .+\.$/],
          [{}, /^The field messages must be a list\.$/],
          [{ messages: [] }, /^The prompt is empty/],
          [{ messages: [{ role: "user" }] }, /^Message 0 is .+ must be strings\.$/],
          [{ messages: [image] }, /^A message has a part of type image_url: it must be text\.$/],
          [
            { messages: [{ ...messages[0], tool_calls: [{}] }] },
            /^The field tool_calls of a message /,
          ],
          [
            { messages: [...messages, { role: "tool", name: "add", content: "9" }] },
            /^The field name of a message /,
          ],
          [{ messages, tool_choice: "required" }, /^The field tool_choice is /],
          [{ messages, n: 2 }, /^The field n is not supported: leave it out\.$/],
          [{ messages, tools: [{}] }, /^The field tools is /],
          [{ messages, logprobs: true }, /^The field logprobs is /],
          [
            { messages, response_format: { type: "json_object" } },
            /^The field response_format is /,
          ],
          [{ messages, max_new_tokens: 7 }, /^The field max_new_tokens is /],
          [{ messages, temperature: 900 }, /^The field temperature is 900: /],
          [{ messages, max_tokens: 1.5, stream: true }, /^The field max_tokens is 1\.5: /],
          [{ messages, top_p: 0 }, /^The field top_p is 0: /],
          [{ messages, stream: "false" }, /^The field stream must be true or false\.$/],
          [new Uint8Array([0x22, 0xe9, 0x22]), /^The request is not UTF-8\.$/],
          [{ messages, stop: [""] }, /^A stop string is "": /],
          [{ messages: [user("a ".repeat(5000))] }, /^The prompt has \d+ tokens, and the context /],
        ] as const
      ) {
        const response = await post(`${url}/chat/completions`, body);
        const { error: { message, type } } = await response.json();
        assertEquals([response.status, type], [400, "invalid_request_error"], message);
        assertMatch(message, sentence);
      }
      for (const prompt of [undefined, {}, 5, ["a", "b"], [[5], [6]], [5, "a"], messages]) {
        const response = await post(`${url}/completions`, { prompt });
        const { error: { message } } = await response.json();
        assertEquals(response.status, 400, message);
        assertMatch(
          message,
          /^The field prompt must be a text, a list of token ids, or a list with one /,
        );
      }
    }),
);

Deno.test(
  { name: "examples/server.ts says what there is and what is not", ...posix },
  () =>
    serving(async (url) => {
      const ask = async (method: string, path: string, body: string | null = null) => {
        const response = await fetch(`${url}${path}`, { method, body });
        const text = await response.text();
        const { error: { message = null } = {}, ...others } = text === "" ? {} : JSON.parse(text);
        return { status: response.status, message, others, allow: response.headers.get("allow") };
      };
      const ok = { status: 200, message: null, allow: null };
      assertEquals(await ask("GET", "/../health"), { ...ok, others: { status: "ok" } });
      const { others: { data: [model] } } = await ask("GET", "/models?limit=20");
      for (const id of ["ditto-tiny", "ditto%2Dtiny"]) {
        assertEquals(await ask("GET", `/models/${id}`), { ...ok, others: model });
      }
      assertEquals(await ask("HEAD", "/models"), { ...ok, others: {} });

      const none = { ...ok, status: 404, others: {} };
      for (const path of ["/models/other", "/models/%E0", "/chat"]) {
        assertEquals(await ask("GET", path), { ...none, message: `There is no GET /v1${path}.` });
      }
      const message = "/v1/completions is asked with POST, not with GET.";
      const wrong = { status: 405, message, others: {}, allow: "POST" };
      assertEquals(await ask("GET", "/completions"), wrong);

      // The client hears of it, and the connection goes on to be of use.
      const large = await ask("POST", "/completions", JSON.stringify({ prompt: "a".repeat(9e6) }));
      assertEquals(large.status, 413);
      assertMatch(large.message, /^The request has 90000\d+ bytes, more than 8388608\.$/);
      assertEquals((await ask("GET", "/models")).status, 200);
    }),
);

Deno.test(
  { name: "examples/server.ts answers pages of this machine and of --cors", ...posix },
  () => {
    const asOf = (origin: string, init: RequestInit = {}) => ({
      ...init,
      headers: { origin, ...init.headers as Record<string, string> },
    });
    const allowed = ({ headers }: Response) => headers.get("access-control-allow-origin");
    return serving(async (url) => {
      const path = `${url}/completions`;
      const body = JSON.stringify({ prompt: "let", max_tokens: 2, stream: true });
      const request = "authorization,content-type,x-stainless-os";
      const preflight = {
        method: "OPTIONS",
        headers: {
          "access-control-request-method": "POST",
          "access-control-request-headers": request,
        },
      };
      const editor = "vscode-webview://1f2e3d";
      for (const origin of ["http://localhost:3000", "http://[::1]", editor, "https://a.example"]) {
        const before = await fetch(path, asOf(origin, preflight));
        assertEquals([before.status, allowed(before)], [204, origin]);
        assertEquals(before.headers.get("access-control-allow-headers"), request);
        const streamed = await fetch(path, asOf(origin, { method: "POST", body }));
        assertEquals(allowed(streamed), origin);
        assertEquals((await events(streamed)).length > 1, true);
        for (const init of [{ method: "POST", body: "{" }, { method: "GET" }]) { // errors, too, are to be read
          const failed = await fetch(path, asOf(origin, init));
          assertEquals([allowed(failed), typeof (await failed.json()).error.message], [
            origin,
            "string",
          ]);
        }
      }
      for (
        const origin of [
          "https://b.example",
          "http://a.example",
          "http://localhost.a.example",
          "http://b.example?http://localhost",
          "null",
        ]
      ) {
        // Those that come without a preflight, and would have the model work.
        for (const init of [{ method: "POST", body }, preflight]) {
          const refused = await fetch(path, asOf(origin, init));
          const { error: { message } } = await refused.json();
          assertEquals([refused.status, allowed(refused)], [403, null], message);
          assertMatch(message, /^Pages of the origin .+ may not ask\. /);
          assertEquals(message.includes(`--cors ${origin} `), origin !== "null");
        }
      }
    }, {
      args: ["--host", "0.0.0.0", "--cors", "https://a.example", "--cors", "https://c.example"],
    });
  },
);

Deno.test({ name: "examples/server.ts ends its answers at Ctrl-C", ...posix }, async () => {
  const streams: ReadableStreamDefaultReader<string>[] = [];
  await serving(async (url) => {
    const asked = { messages: [user("Rename a to b:" + " a".repeat(300))], stream: true };
    for (let i = 0; i < 2; i++) { // the second waits in line
      const { body } = await post(`${url}/chat/completions`, asked);
      streams.push(body!.pipeThrough(new TextDecoderStream()).getReader());
      await streams[i]!.read();
    }
  }, { end: "SIGINT" });
  for (const stream of streams) {
    let text = "";
    for (let read = await stream.read(); !read.done; read = await stream.read()) text += read.value;
    assertMatch(text, /data: \{"error":\{"message":"The server ends\.".+\}\}\n\n$/);
  }
});

Deno.test(
  { name: "examples/server.ts ends, whatever connections clients keep", ...posix },
  async () => {
    const connections: Deno.Conn[] = [];
    await serving(async (url) => {
      const { hostname, port } = new URL(url);
      const half = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{";
      for (const sent of ["", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", half]) {
        const connection = await Deno.connect({ hostname, port: Number(port) });
        connections.push(connection);
        await connection.write(new TextEncoder().encode(sent));
      }
      await (await fetch(`${url}/models`)).json(); // by then, it knows of the others
    }, { end: "SIGINT" });
    for (const connection of connections) connection.close();
  },
);

Deno.test(
  { name: "examples/server.ts tells of a device that is lost, and ends", ...posix },
  async () => {
    const streams: Response[] = [];
    await serving(async (url) => {
      const asked = { messages: [user("Rename a to b:" + " a".repeat(300))], stream: true };
      for (let i = 0; i < 2; i++) streams.push(await post(`${url}/chat/completions`, asked));
    }, { end: "SIGUSR2", exitCode: 1 });
    const [first, second] = await Promise.all(streams.map((stream) => stream.text()));
    assertMatch(first!, /data: \{"error":\{"message":"The GPU device .+ was lost: .+\}\}\n\n$/);
    assertMatch(second!, /data: \{"error":\{"message":"The .+"type":"server_error".+\}\}\n\n$/);
  },
);
