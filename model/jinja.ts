import { Template } from "@huggingface/jinja";
import { mendStrings } from "./jinja_strings.ts";
import { strftime } from "./strftime.ts";

/** A part of a parsed template. */
interface Node {
  type: string;
  [field: string]: unknown;
}

/** What `raise_exception` throws: the template's own words. */
export class Refusal extends Error {}

/** Jinja that is right in Python and that is not done here. */
export class UnknownJinja extends Error {}

/** What the library does in its own way. No template can write these names, which have a dot. */
const FUNCTIONS = {
  "ditto.strftime_now": (format: unknown) => strftime(new Date(), format),
  "ditto.raise_exception": (message: unknown) => {
    throw new Refusal(String(message));
  },
  "ditto.strip": (...args: unknown[]) => strip("strip", true, true, args),
  "ditto.lstrip": (...args: unknown[]) => strip("lstrip", true, false, args),
  "ditto.rstrip": (...args: unknown[]) => strip("rstrip", false, true, args),
};

/** Whether a loop is over because of `break`. */
const BROKEN = member("ditto.state", "broken");

/**
 * Parses a template and mends what `@huggingface/jinja` does otherwise than Jinja in Python.
 *
 * @returns What renders it.
 * @throws {UnknownJinja} If it has something that cannot be mended.
 * @throws {Error} If the library cannot parse it.
 */
export function compile(source: string): (variables: Record<string, unknown>) => string {
  const lines = source.replaceAll(/\r\n?/g, "\n"); // as Python reads it
  const template = new Template(mendStrings(lines));
  const body = template.parsed.body as unknown as Node[];
  mend(body, false);
  // Given as variables these two would be "already declared".
  for (const name of ["strftime_now", "raise_exception"]) {
    body.unshift(set(identifier(name), identifier(`ditto.${name}`)));
  }
  return (variables) => template.render({ ...variables, ...FUNCTIONS });
}

/**
 * Changes a part of a template, in place.
 *
 * @param inLoop Whether `break` and `continue` directly here belong to a loop that can do without them.
 */
function mend(part: unknown, inLoop: boolean): void {
  if (Array.isArray(part)) return part.forEach((item) => mend(item, inLoop));
  if (part instanceof Map) return mend([...part].flat(), false);
  if (typeof part !== "object" || part === null) return;
  const node = part as Node;
  if (isJump(node) && !inLoop) {
    throw new UnknownJinja(`{% ${node.type.toLowerCase()} %} outside of a loop's if`);
  }
  for (const [field, value] of Object.entries(node)) {
    mend(value, node.type === "For" ? field === "body" : node.type === "If" && inLoop);
  }
  if (node.type === "For") mendLoop(node);
  if (node.type === "CallExpression") mendStrip(node);
  if (node.type === "FilterExpression") mendTrim(node);
}

/** Makes `text.strip(…)` a call of our function: the library's does not look at what is to be stripped. */
function mendStrip(call: Node): void {
  const { type, object, property, computed } = call.callee as Node;
  if (type !== "MemberExpression" || computed) return;
  const name = `ditto.${(property as Node).value}`;
  if (!["ditto.strip", "ditto.lstrip", "ditto.rstrip"].includes(name)) return;
  call.callee = identifier(name);
  call.args = [object, ...call.args as Node[]];
}

/** Makes `text | trim` a call of our function, too. */
function mendTrim(node: Node): void {
  const filter = node.filter as Node;
  const name = filter.type === "CallExpression" ? filter.callee as Node : filter;
  if (name.value !== "trim") return;
  const args = [node.operand, ...filter.args as Node[] ?? []];
  Object.assign(node, { type: "CallExpression", callee: identifier("ditto.strip"), args });
}

/** Makes a loop forget what an iteration has set, and print what it printed before `break` or `continue`. */
function mendLoop(loop: Node): void {
  const body = loop.body as Node[];
  const jumping = body.some(jumps);
  if (jumping && (loop.defaultBlock as Node[]).length > 0) {
    throw new UnknownJinja("{% break %} or {% continue %} in a loop with {% else %}");
  }
  if (!jumping && !body.some(sets)) return;
  // In the library all iterations share their variables, so each runs in a loop of its own.
  const iteration = {
    type: "For",
    loopvar: identifier("ditto.once"),
    iterable: { type: "ArrayLiteral", value: [{ type: "IntegerLiteral", value: 1 }] },
    body: [set(identifier("loop"), identifier("ditto.loop")), ...straight(body, [])],
    defaultBlock: [],
  };
  const namespace = { type: "CallExpression", callee: identifier("namespace"), args: [] };
  loop.body = [
    {
      type: "If",
      test: member("loop", "first"),
      body: [set(identifier("ditto.state"), namespace)],
      alternate: [],
    },
    set(identifier("ditto.loop"), identifier("loop")),
    { type: "If", test: BROKEN, body: [], alternate: [iteration] },
  ];
}

/** What `body` and then `rest` do, without jumps: what a jump would skip goes where there is none. */
function straight(body: Node[], rest: Node[]): Node[] {
  return body.reduceRight((rest, node) => {
    if (node.type === "Continue") return [];
    if (node.type === "Break") {
      return [set(BROKEN, { type: "IntegerLiteral", value: 1 })];
    }
    if (!jumps(node)) return [node, ...rest];
    node.body = straight(node.body as Node[], rest);
    node.alternate = straight(node.alternate as Node[], rest);
    return [node];
  }, rest);
}

/** True for a jump, and for an `if` with one. */
function jumps(node: Node): boolean {
  if (node.type !== "If") return isJump(node);
  return [...node.body as Node[], ...node.alternate as Node[]].some(jumps);
}

/** True where a variable is set, and for an `if` with such a place. */
function sets(node: Node): boolean {
  if (node.type !== "If") return node.type === "Set" || node.type === "Macro";
  return [...node.body as Node[], ...node.alternate as Node[]].some(sets);
}

function isJump({ type }: Node): boolean {
  return type === "Break" || type === "Continue";
}

function member(object: string, property: string): Node {
  return {
    type: "MemberExpression",
    object: identifier(object),
    property: identifier(property),
    computed: false,
  };
}

function set(assignee: Node, value: Node): Node {
  return { type: "Set", assignee, value, body: [] };
}

function identifier(value: string): Node {
  return { type: "Identifier", value };
}

/** Python's white space; JavaScript's has a byte-order mark besides, and not U+001C to U+001F and U+0085. */
const SPACE = new Set(
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007" +
    "\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
);

/** Python's `str.strip` and its like: drops characters of a set, white space by default, from the ends. */
function strip(name: string, left: boolean, right: boolean, args: unknown[]): string {
  const [text, set = null] = args;
  if (typeof text !== "string") throw new Error(`${name}() is called on what is not a string`);
  if (args.length > 2 || (set !== null && typeof set !== "string")) {
    throw new Error(`${name}() takes at most one argument, a string`);
  }
  const dropped = typeof set === "string" ? new Set(set) : SPACE;
  const characters = [...text];
  let [start, end] = [0, characters.length];
  while (left && start < end && dropped.has(characters[start]!)) start++;
  while (right && start < end && dropped.has(characters[end - 1]!)) end--;
  return characters.slice(start, end).join("");
}
