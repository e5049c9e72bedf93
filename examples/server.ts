/**
 * Serves a model under OpenAI's HTTP API, as llama.cpp's server and vLLM do: chat completions, and completions of a text.
 * Clients are pointed at http://127.0.0.1:8080/v1, with any key and any name of a model.
 *
 *     deno run -A examples/server.ts MODEL [--port 8080] [--host 127.0.0.1] [--cors ORIGIN] [--context 4096] [--quantize q8|q4]
 *         [--device NAME]
 *
 * A prompt and its answer share the context: for long documents it must be larger than 4096 tokens. A model answers one prompt
 * at a time: requests wait in line, and one whose client goes away makes room. A chat's next turn begins with the text of
 * those before it, which is not read again if no other prompt came in between: that makes it cheap
 * (`usage.prompt_tokens_details.cached_tokens`). Without a `temperature` the likeliest tokens are taken.
 *
 * No key is asked for: with `--host 0.0.0.0`, which a container needs, whoever reaches the port may use the model. Web pages
 * may if this machine serves them, or if `--cors` names their origin, such as https://example.com; it can be given again.
 *
 * What a request asks for is read in server/fields.ts, who may ask is in server/origins.ts. (Deno.serve, which would be
 * shorter, does not tell of clients that go away if they sent more than about 400 bytes: Deno 2.9.6.)
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { basename, resolve } from "node:path";
import { unescape } from "node:querystring";
import { setTimeout } from "node:timers";
import { parseArgs } from "node:util";
import { loadShowing } from "../cli/progress_bar.ts"; // loadModel() with a bar that tells how far it is
import { DittoError, type Generation, type Quantization } from "../mod.ts";
import {
  chatOf,
  fieldOf,
  type Fields,
  optionsOf,
  Refusal,
  refuse,
  textOf,
} from "./server/fields.ts";
import { admit } from "./server/origins.ts";

const USAGE =
  "Usage: deno run -A examples/server.ts MODEL [--port 8080] [--host 127.0.0.1] [--cors ORIGIN] " +
  "[--context 4096] [--quantize q8|q4] [--device NAME]";
const STATUS = { input: 400, busy: 503, memory: 503, device: 503, other: 500 };
/** Of a request, in bytes: more than any context holds. Each MB of text takes the tokenizer about a second. */
const MAX_LENGTH = 2 ** 23;

/** Ends the program with a sentence. */
function exit(sentence: string, code: number): never {
  console.error(sentence);
  Deno.exit(code);
}

function parse() {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      options: {
        port: { ...text, default: "8080" },
        host: { ...text, default: "127.0.0.1" },
        cors: { ...text, multiple: true, default: [] },
        context: text,
        quantize: text,
        device: text, // a part of its name
      },
      allowPositionals: true,
    });
  } catch {
    return exit(USAGE, 2);
  }
}

const { values, positionals: [directory, ...more] } = parse();
if (!directory || more.length > 0) exit(USAGE, 2);
const { port, host, cors, context, quantize, device } = values;
try {
  // So that one in use is known before a model is loaded.
  Deno.listen({ port: Number(port), hostname: host }).close();
} catch (error) {
  exit(
    `Cannot listen at port ${port} of ${host}: ${error}. Give others: --host HOST, --port N.`,
    1,
  );
}
const name = basename(resolve(directory));
using model = await loadShowing(directory, {
  ...(context && { context: Number(context) }),
  ...(quantize && { quantize: quantize as Quantization }), // loadModel() looks at its value
  ...(device && { device: { name: device } }),
}).catch((error) => {
  if (error instanceof DittoError) exit(error.message, 1);
  throw error;
});

/** The fields of a request's body. One that is too large is read all the same: else the client would not hear why. */
async function fieldsOf(request: IncomingMessage): Promise<Fields> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length <= MAX_LENGTH) chunks.push(chunk);
  }
  if (length > MAX_LENGTH) refuse(`The request has ${length} bytes, more than ${MAX_LENGTH}.`, 413);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await new Blob(chunks).bytes());
    return Object(JSON.parse(text));
  } catch (error) {
    if (error instanceof TypeError) refuse("The request is not UTF-8.");
    return refuse(`The request is not JSON: ${(error as Error).message}.`);
  }
}

/** The end of an answer, in the API's words. */
async function endOf(generation: Generation) {
  const { promptTokens, cachedPromptTokens, tokens, text, stopReason } = await generation.result();
  if (stopReason === "aborted") throw new DittoError("The server ends.", { code: "busy" });
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: tokens.length,
    total_tokens: promptTokens + tokens.length,
    prompt_tokens_details: { cached_tokens: cachedPromptTokens },
  };
  return { text, reason: stopReason === "length" ? "length" : "stop", usage };
}

let last: Promise<unknown> = Promise.resolve(); // of those in line

async function complete(
  request: IncomingMessage,
  response: ServerResponse,
  isChat: boolean,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort()); // at its end too, when there is nothing left to abort
  const fields = await fieldsOf(request);
  const { stream = false } = fields;
  if (stream !== null && typeof stream !== "boolean") {
    refuse("The field stream must be true or false.");
  }
  const prompt = isChat ? chatOf(fields.messages) : textOf(fields.prompt);
  const signal = AbortSignal.any([gone.signal, stopping.signal]);
  const generation = model.generate(prompt, { ...optionsOf(fields, model.context), signal });
  const turn = last;
  const end = turn.then(() => endOf(generation)); // runs it, however slowly its client reads
  last = end.catch(() => {});

  const id = crypto.randomUUID();
  const object = isChat ? `chat.completion${stream ? ".chunk" : ""}` : "text_completion";
  const head = { id, object, created: Math.floor(Date.now() / 1000), model: name };
  const choose = (content: Fields, finish_reason: string | null = null) => {
    return { ...head, choices: [{ index: 0, ...content, logprobs: null, finish_reason }] };
  };
  if (!stream) {
    const { text, reason, usage } = await end;
    const content = isChat ? { message: { role: "assistant", content: text } } : { text };
    return send(response, 200, { ...choose(content, reason), usage });
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders(); // it may wait in line
  const event = (data: unknown) => response.write(`data: ${JSON.stringify(data)}\n\n`);
  try {
    if (isChat) event(choose({ delta: { role: "assistant", content: "" } }));
    await turn;
    for await (const { text } of generation) {
      if (text) event(choose(isChat ? { delta: { content: text } } : { text }));
    }
    const { reason, usage } = await end;
    event(choose(isChat ? { delta: {} } : { text: "" }, reason));
    const { include_usage } = Object(fields.stream_options);
    if (include_usage) event({ ...head, choices: [], usage });
    response.end("data: [DONE]\n\n");
  } catch (error) {
    event(failure(error).body);
    response.end();
  }
}

function send(response: ServerResponse, status: number, data: unknown): void {
  const body = new TextEncoder().encode(JSON.stringify(data));
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length });
  response.end(body);
}

function failure(error: unknown) {
  if (error instanceof Refusal) return { status: error.status, body: bodyOf(error.message, true) };
  const isKnown = error instanceof DittoError;
  const { code, message } = isKnown ? error : new DittoError(`The server failed: ${error}`);
  if (code === "device") stop(1); // so that whoever started it starts it again
  const own = message.replace(/^The option (\w+)/, (_, option) => `The field ${fieldOf(option)}`);
  return { status: STATUS[code], body: bodyOf(own, code === "input") };
}

function bodyOf(message: string, isInput: boolean) {
  const type = isInput ? "invalid_request_error" : "server_error";
  return { error: { message, type, param: null, code: null } };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

const entry = { id: name, object: "model", created: 0, owned_by: "ditto" };
const ROUTES = new Map<string, readonly [method: string, Handler]>([
  ["/v1/chat/completions", ["POST", (request, response) => complete(request, response, true)]],
  ["/v1/completions", ["POST", (request, response) => complete(request, response, false)]],
  ["/v1/models", ["GET", (_, response) => send(response, 200, { object: "list", data: [entry] })]],
  [`/v1/models/${name}`, ["GET", (_, response) => send(response, 200, entry)]],
  ["/health", ["GET", (_, response) => send(response, 200, { status: "ok" })]],
]);

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method } = request;
  const path = request.url!.replace(/\?.*/, "");
  try {
    admit(request, response, cors);
    if (method === "OPTIONS") return void response.writeHead(204).end();
    const [allowed, handle] = ROUTES.get(unescape(path)) ??
      refuse(`There is no ${method} ${path}.`, 404);
    if ((method === "HEAD" ? "GET" : method) !== allowed) {
      response.setHeader("allow", allowed);
      refuse(`${path} is asked with ${allowed}, not with ${method}.`, 405);
    }
    await handle(request, response);
  } catch (error) {
    const { status, body } = failure(error);
    send(response, status, body);
  }
}

const stopping = new AbortController();
const server = createServer(answer);
server.listen(Number(port), host);
await once(server, "listening");
const { port: given } = server.address() as { port: number };
console.log(`http://${host.includes(":") ? `[${host}]` : host}:${given}/v1`);

/** Ends all answers, and then what clients keep open: a connection that asks nothing, half a request. */
function stop(exitCode: number): void {
  Deno.exitCode = exitCode;
  stopping.abort();
  server.close();
  last.then(() => setTimeout(() => server.closeAllConnections(), 500).unref());
}
Deno.addSignalListener("SIGINT", () => stop(0));
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => stop(0));
await once(server, "close");
