import { DittoError, inputError, show } from "./errors.ts";
import { compile, Refusal, UnknownJinja } from "./jinja.ts";
import { isObject } from "./json.ts";

/** One turn of a chat. */
export interface Message {
  /** Who speaks; most templates know "system", "user" and "assistant". */
  readonly role: string;
  /** What is said. Names of special tokens in it, such as "</s>", become those tokens. */
  readonly content: string;
}

const ADVICE =
  "Give the prompt as text, with its markers; begin-of-sequence is added (on the command line: without --chat or --messages).";

/**
 * Renders a chat with a checkpoint's Jinja template.
 *
 * @param template What the checkpoint has: a template, an array of `{ name, template }` (the one
 * named "default" counts), or nothing.
 * @param messages The turns, in order.
 * @param variables What else the template may ask for, such as `bos_token`.
 * @throws {DittoError} If a message's role or content is not a string, there is no template, it is not valid Jinja or
 * uses some that Ditto does not know, or it refuses the messages.
 */
export function renderChat(
  template: unknown,
  messages: readonly Message[],
  variables: Readonly<Record<string, unknown>>,
): string {
  for (const [i, message] of messages.entries()) {
    const { role, content } = Object(message);
    if (typeof role === "string" && typeof content === "string") continue;
    throw inputError(
      `Message ${i} is ${show(message)}: its role and its content must be strings.`,
    );
  }
  const source = selectTemplate(template);
  const subject = "The checkpoint's chat template";
  const unknown = (cause: unknown) =>
    `Jinja that Ditto does not know: ${(cause as Error).message.replace(/\.$/, "")}. ${ADVICE}`;
  let render: ReturnType<typeof compile>;
  try {
    render = compile(source);
  } catch (cause) {
    const valid = cause instanceof UnknownJinja || (cause as Error).message.startsWith("Unknown ");
    const found = valid ? "uses" : "is not valid Jinja, or uses";
    throw new DittoError(`${subject} ${found} ${unknown(cause)}`, { cause });
  }
  try {
    return render({ ...variables, messages });
  } catch (cause) {
    const these = `these messages (${show(messages.map(({ role }) => role))})`;
    if (cause instanceof Refusal) {
      throw inputError(`${subject} refuses ${these}: ${cause.message}`, { cause });
    }
    throw new DittoError(`${subject} fails for ${these}, or uses ${unknown(cause)}`, { cause });
  }
}

function selectTemplate(template: unknown): string {
  if (typeof template === "string") return template;
  if (template == null) {
    throw inputError(
      `The checkpoint has no chat template, neither chat_template.jinja nor chat_template in ` +
        `tokenizer_config.json or chat_template.json. mistral_common makes one of a tekken.json ` +
        `(convert_tokenizer_to_chat_template of mistral_common.integrations.chat_templates): save it ` +
        `as chat_template.jinja. ${ADVICE.replace("Give", "Or give")}`,
    );
  }
  const named = Array.isArray(template) ? template.filter(isObject) : [];
  const found = named.find(({ name }) => name === "default")?.template;
  if (typeof found === "string") return found;
  throw inputError(
    `The checkpoint's chat_template has no template named "default" (it has ${
      show(Array.isArray(template) ? named.map(({ name }) => name) : template)
    }). ${ADVICE}`,
  );
}
