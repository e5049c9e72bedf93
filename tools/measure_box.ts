/**
 * Asks the model in the box the held-out examples that its training never saw, through Ditto itself, and prints
 * the share of answers that are right to the last character, per task.
 *
 *     deno run -A tools/measure_box.ts [--model DIRECTORY] [--examples N] [--quantize q8 | q4] [--prompt-precision f16]
 *         [--wrong] [--chats FILE]
 *
 * N is the number of examples of each task; default all in tools/train/held_out.json. --wrong shows the wrong
 * answers. With --chats it asks nothing, and writes the examples with their right answers to a file, one chat after
 * another, for bench/quality.ts.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { runMain } from "../bench/arguments.ts";
import { MODEL_IN_THE_BOX } from "../cli/choose_model.ts";
import { loadModel, type Message } from "../mod.ts";

/** One example: a chat that ends with a question, and its one right answer. */
export interface HeldOut {
  readonly task: string;
  readonly messages: readonly Message[];
  readonly answer: string;
}

/** The held-out examples of each task. */
export async function heldOut(): Promise<Map<string, HeldOut[]>> {
  const file = new URL("train/held_out.json", import.meta.url);
  const examples: readonly HeldOut[] = JSON.parse(await Deno.readTextFile(file));
  return Map.groupBy(examples, ({ task }) => task);
}

function parseOptions() {
  try {
    return parseArgs({
      options: {
        model: { type: "string" },
        examples: { type: "string", default: "Infinity" },
        quantize: { type: "string" },
        "prompt-precision": { type: "string" },
        wrong: { type: "boolean", default: false },
        chats: { type: "string" },
      },
    }).values;
  } catch (error) {
    console.error(
      `${(error as Error).message}\nThe first lines of tools/measure_box.ts list the options.`,
    );
    Deno.exit(2);
  }
}

async function main(): Promise<void> {
  const options = parseOptions();
  const { quantize, "prompt-precision": promptPrecision } = options;
  const refuse = (name: string, value: string, range: string) => {
    console.error(`--${name} is ${value}: it must be ${range}.`);
    Deno.exit(2);
  };
  if (quantize !== undefined && quantize !== "q8" && quantize !== "q4") {
    return refuse("quantize", quantize, "q8 or q4");
  }
  if (promptPrecision !== undefined && promptPrecision !== "f16" && promptPrecision !== "f32") {
    return refuse("prompt-precision", promptPrecision, "f16 or f32");
  }
  const examples = Number(options.examples);
  if (!(examples >= 1)) return refuse("examples", options.examples, "a number from 1 on");
  const directory = options.model ?? MODEL_IN_THE_BOX;
  using model = await loadModel(directory, {
    ...(quantize && { quantize }),
    ...(promptPrecision && { promptPrecision }),
  });
  if (options.chats !== undefined) {
    const chats = [...(await heldOut()).values()].flatMap((all) => all.slice(0, examples)).map(
      ({ messages, answer }) => [...messages, { role: "assistant", content: answer }],
    );
    const texts = chats.map((chat) => model.tokenTexts(model.tokenize(chat)).join(""));
    return await Deno.writeTextFile(options.chats, texts.join(""));
  }
  console.log(`${options.model ?? "demo/ditto-tiny"} on ${model.device.name}`);
  console.log(
    ["task", "examples", "exactly right", "tokens", "passes", "tokens per pass"].join("\t"),
  );
  for (const [task, all] of await heldOut()) {
    let asked = 0, right = 0, tokens = 0, passes = 0;
    for (const { messages, answer } of all.slice(0, examples)) {
      const result = await model.generate(messages, { maxNewTokens: 512 }).result();
      asked++;
      tokens += result.tokens.length;
      passes += result.passes;
      if (result.text === answer) right++;
      else if (options.wrong) {
        const question = messages.at(-1)?.content;
        console.log(
          `--- ${task}\n${question}\n--- expected\n${answer}\n--- answered\n${result.text}\n`,
        );
      }
    }
    const share = `${(100 * right / asked).toFixed(1)} %`;
    console.log([task, asked, share, tokens, passes, (tokens / passes).toFixed(2)].join("\t"));
  }
}

if (import.meta.main) await runMain(main);
