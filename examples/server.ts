/**
 * Serves a model under OpenAI's HTTP API, as llama.cpp's server and vLLM do: chat completions, and completions of a text.
 * Clients are pointed at http://127.0.0.1:8080/v1, with any key and any name of a model.
 *
 *     deno run -A examples/server.ts MODEL [--port 8080] [--context 4096] [--quantize q8|q4]
 *
 * A prompt and its answer share the context: for long documents it must be larger than 4096 tokens. A model answers one prompt
 * at a time: requests wait in line, and one whose client goes away makes room. A chat's next turn begins with the text of
 * those before it, which is not read again if no other prompt came in between: that makes it cheap
 * (`usage.prompt_tokens_details.cached_tokens`). Without a `temperature` the likeliest tokens are taken. (Deno.serve, which
 * would be shorter, does not tell of clients that go away if they sent more than about 400 bytes: Deno 2.9.6.)
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { basename, resolve } from "node:path";
import { json } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { DittoError, type Generation, loadModel, type Prompt, type Quantization } from "../mod.ts";

type Fields = Record<string, unknown>;

/** Fields that are options of `generate()`, in camel case. */
const OPTIONS = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "stop"];
/** Fields that are read elsewhere, or change no answer. */
const OTHERS = ("messages prompt max_tokens max_completion_tokens stream stream_options " +
  "model user metadata store service_tier safety_identifier prompt_cache_key").split(" ");
/** Values that ask for nothing, some of fields that are refused with others. */
const NOTHING: Fields = {
  ...{ n: 1, best_of: 1, echo: false, logprobs: false, logit_bias: {}, presence_penalty: 0 },
  ...{ frequency_penalty: 0, tools: [], tool_choice: "none", response_format: { type: "text" } },
  ...{ top_k: -1, seed: -1, max_tokens: -1, max_completion_tokens: -1 }, // as vLLM and llama.cpp have it
};
const USAGE =
  "Usage: deno run -A examples/server.ts MODEL [--port 8080] [--context 4096] [--quantize q8|q4]";
const STATUS = { input: 400, busy: 503, memory: 503, device: 503, other: 500 };

/** Ends the program with a sentence. */
function exit(sentence: string, code: number): never {
  console.error(sentence);
  Deno.exit(code);
}

function parse() {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      options: { port: { ...text, default: "8080" }, context: text, quantize: text },
      allowPositionals: true,
    });
  } catch {
    return exit(USAGE, 2);
  }
}

const { values, positionals: [directory, ...more] } = parse();
if (!directory || more.length > 0) exit(USAGE, 2);
const { context, quantize } = values;
const address = { hostname: "127.0.0.1", port: Number(values.port) };
try {
  Deno.listen(address).close(); // so that one in use is known before a model is loaded
} catch (error) {
  exit(`Cannot listen at port ${values.port}: ${error}. Give another one, --port N.`, 1);
}
const name = basename(resolve(directory));
using model = await loadModel(directory, {
  ...(context && { context: Number(context) }),
  ...(quantize && { quantize: quantize as Quantization }), // loadModel() looks at its value
}).catch((error) => {
  if (error instanceof DittoError) exit(error.message, 1);
  throw error;
});

function refuse(sentence: string): never {
  throw new DittoError(sentence, { code: "input" });
}

/** Options from fields; what would change the answer if it were ignored is refused. */
function optionsOf(fields: Fields): Fields {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const given = Object.entries(fields).filter(([field, value]) =>
    value !== null && JSON.stringify(value) !== JSON.stringify(NOTHING[field])
  );
  const { max_tokens, max_completion_tokens = max_tokens } = Object.fromEntries(given);
  const options: Fields = { maxNewTokens: max_completion_tokens ?? model.context, seed };
  for (const [field, value] of given) {
    const camelCase = field.replace(/_./, ([, letter]) => letter!.toUpperCase());
    if (OPTIONS.includes(field)) options[camelCase] = value;
    else if (!OTHERS.includes(field)) refuse(`The field ${field} is not supported: leave it out.`);
  }
  return options; // generate() looks at their values
}

/** A chat, whose contents may come in parts. */
function chatOf(messages: unknown): Prompt {
  if (!Array.isArray(messages)) refuse("The field messages must be a list.");
  return messages.map((message) => {
    const { role, content, ...others } = Object(message);
    const other = Object.keys(others).find((field) => others[field] !== null);
    if (other) refuse(`The field ${other} of a message is not supported: leave it out.`);
    if (!Array.isArray(content)) return { role, content };
    const texts = content.map((part) => {
      const { type, text } = Object(part);
      if (type !== "text" || typeof text !== "string") {
        refuse(`A message has a part of type ${type}: it must be text.`);
      }
      return text;
    });
    return { role, content: texts.join("") };
  });
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
  const notJson = ({ message }: Error) => refuse(`The request is not JSON: ${message}.`);
  const fields: Fields = Object(await json(request).catch(notJson));
  const prompt = isChat ? chatOf(fields.messages) : fields.prompt as Prompt;
  const signal = AbortSignal.any([gone.signal, stopping.signal]);
  const generation = model.generate(prompt, { ...optionsOf(fields), signal });
  const turn = last;
  const end = turn.then(() => endOf(generation)); // runs it, however slowly its client reads
  last = end.catch(() => {});

  const id = crypto.randomUUID();
  const object = isChat ? `chat.completion${fields.stream ? ".chunk" : ""}` : "text_completion";
  const head = { id, object, created: Math.floor(Date.now() / 1000), model: name };
  const choose = (content: Fields, finish_reason: string | null = null) => {
    return { ...head, choices: [{ index: 0, ...content, logprobs: null, finish_reason }] };
  };
  if (!fields.stream) {
    const { text, reason, usage } = await end;
    const content = isChat ? { message: { role: "assistant", content: text } } : { text };
    return send(response, 200, { ...choose(content, reason), usage });
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
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

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

/** The field that an option of `generate()` was given in. */
function fieldOf(option: string): string {
  if (option === "maxNewTokens") return "max_tokens";
  return option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function failure(error: unknown) {
  const isKnown = error instanceof DittoError;
  const { code, message: own } = isKnown ? error : new DittoError(`The server failed: ${error}`);
  if (code === "device") stop(1); // so that whoever started it starts it again
  const message = own.replace(/^The option (\w+)/, (_, option) => `The field ${fieldOf(option)}`);
  const type = code === "input" ? "invalid_request_error" : "server_error";
  return { status: STATUS[code], body: { error: { message, type, param: null, code: null } } };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method} ${request.url?.replace(/\?.*/, "")}`;
  try {
    if (route === "POST /v1/chat/completions") return await complete(request, response, true);
    if (route === "POST /v1/completions") return await complete(request, response, false);
    const data = [{ id: name, object: "model", created: 0, owned_by: "ditto" }];
    if (route === "GET /v1/models") return send(response, 200, { object: "list", data });
    response.writeHead(404).end(`There is no ${route}.`);
  } catch (error) {
    const { status, body } = failure(error);
    send(response, status, body);
  }
}

const stopping = new AbortController();
const server = createServer(answer);
server.listen(address.port, address.hostname);
await once(server, "listening");
console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}/v1`);

function stop(exitCode: number): void {
  Deno.exitCode = exitCode;
  stopping.abort();
  server.close();
}
Deno.addSignalListener("SIGINT", () => stop(0));
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => stop(0));
await once(server, "close");
