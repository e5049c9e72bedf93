/**
 * What a request's fields ask for, in terms of `generate()`, for examples/server.ts. What would change the answer if it were
 * ignored is refused by name.
 */
import type { GenerateOptions, Message, Prompt } from "../../mod.ts";

/** The fields of a request, or of a part of it. */
export type Fields = Record<string, unknown>;

/** Fields that are options of `generate()`, in camel case. */
const OPTIONS = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "stop"];
/** Fields that are read elsewhere, or change no answer. */
const OTHERS = ("messages prompt max_tokens max_completion_tokens stream stream_options model " +
  "metadata parallel_tool_calls prediction prompt_cache_key prompt_cache_retention " +
  "safety_identifier service_tier store user").split(" ");
/** Values that ask for nothing, some of fields that are refused with others; -1 as vLLM and llama.cpp have it. */
const NOTHING = ('n:1 best_of:1 echo:false suffix:"" logprobs:false top_logprobs:0 logit_bias:{} ' +
  "presence_penalty:0 frequency_penalty:0 top_k:-1 seed:-1 max_tokens:-1 " +
  'max_completion_tokens:-1 modalities:["text"] response_format:{"type":"text"} tools:[] ' +
  'tool_choice:"none" tool_choice:"auto" functions:[] function_call:"none" function_call:"auto"')
  .split(" ");

/** A request that cannot be answered; the message is a sentence for whoever made it. */
export class Refusal extends Error {
  /** `status` is HTTP's. */
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

export function refuse(sentence: string, status = 400): never {
  throw new Refusal(sentence, status);
}

/** The options; `generate()` looks at their values. */
export function optionsOf(fields: Fields, context: number): GenerateOptions {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const given = Object.entries(fields).filter(([field, value]) =>
    value !== null && !NOTHING.includes(`${field}:${JSON.stringify(value)}`)
  );
  const { max_tokens, max_completion_tokens = max_tokens } = Object.fromEntries(given);
  const options: Fields = { maxNewTokens: max_completion_tokens ?? context, seed };
  for (const [field, value] of given) {
    const camelCase = field.replace(/_./, ([, letter]) => letter!.toUpperCase());
    if (OPTIONS.includes(field)) options[camelCase] = value;
    else if (!OTHERS.includes(field)) refuse(`The field ${field} is not supported: leave it out.`);
  }
  return options;
}

/** The field that an option of `generate()` was given in. */
export function fieldOf(option: string): string {
  if (option === "maxNewTokens") return "max_tokens";
  return option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A text, which may be given as its tokens, and in a list with nothing else. */
export function textOf(prompt: unknown): string | readonly number[] {
  const [first, ...more] = Array.isArray(prompt) && !isText(prompt) ? prompt : [prompt];
  if (isText(first) && more.length === 0) return first;
  refuse(
    "The field prompt must be a text, a list of token ids, or a list with one of these: " +
      "a request asks one thing.",
  );
}

function isText(prompt: unknown): prompt is string | readonly number[] {
  return typeof prompt === "string" || Array.isArray(prompt) && prompt.every(Number.isInteger);
}

/** A chat, whose contents may come in parts. */
export function chatOf(messages: unknown): Prompt {
  if (!Array.isArray(messages)) refuse("The field messages must be a list.");
  return messages.map((message): Message => {
    const { role, content, ...others } = Object(message);
    if (role !== "tool") delete others.name; // templates write only the names of tools
    const other = Object.keys(others).find((field) => !isNothing(others[field]));
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

/** As what clients keep of an answer, such as `"tool_calls": []`, when they send it back. */
function isNothing(value: unknown): boolean {
  return value === null || Array.isArray(value) && value.length === 0;
}
