/** Every wrong option and prompt is refused by a sentence that names it and says what it may be. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { checkPromptPrecision } from "../../decode/options.ts";
import { hasFewRegisters } from "../../kernels/profile.ts";
import {
  DittoError,
  type GenerateOptions,
  listDevices,
  loadModel,
  type LoadOptions,
  type OpenOptions,
} from "../../mod.ts";

const DIRECTORY = new URL("../fixtures/tiny-gqa-bf16", import.meta.url);
const rowCosts = new Array(32).fill(1); // so that nothing is measured

const WHOLE = [1.5, NaN, Infinity, "3", {}, true];

const wrong: { [Name in keyof GenerateOptions]?: [values: unknown[], range: string] } = {
  maxNewTokens: [[-1, ...WHOLE], "an integer from 0 to 9007199254740991"],
  promptLookupNumTokens: [[-1, 32, ...WHOLE], "an integer from 0 to 31"],
  maxMatchingNgramSize: [[0, 16, ...WHOLE], "an integer from 1 to 15"],
  submissionsAhead: [[0, 9, ...WHOLE], "an integer from 1 to 8"],
  topK: [[-1, 2 ** 32, ...WHOLE], "an integer from 0 to 4294967295"],
  seed: [[-1, 2 ** 32, ...WHOLE], "an integer from 0 to 4294967295"],
  temperature: [[-0.1, 101, NaN, "1"], "a number from 0 to 100"],
  topP: [[0, 1.1, -1, NaN, "1"], "a number above 0 to 1"],
  minP: [[-0.1, 1.1, NaN, "1"], "a number from 0 to 1"],
  repetitionPenalty: [[0, -1, 101, NaN, "1"], "a number from 0.01 to 100"],
  drafter: [["trees", 1], `"original" or "tree"`],
  ignoreEos: [["false", 0, {}], "true or false"],
  logitsDigest: [["true", 1], "true or false"],
  cachePrompt: [["true", 0], "true or false"],
  signal: [[5, new AbortController()], "an AbortSignal"],
};

Deno.test("generate() refuses wrong options and prompts by name", async () => {
  using model = await loadModel(DIRECTORY, { context: 20, rowCosts });
  for (const [name, [values, range]] of Object.entries(wrong)) {
    for (const value of values) {
      const options = { [name]: value } as GenerateOptions;
      const error = assertThrows(() => model.generate([1], options), DittoError);
      assert(error.message.startsWith(`The option ${name} is `), error.message);
      assert(error.message.endsWith(`: it must be ${range}.`), error.message);
    }
  }
  for (const stop of ["", ["a", ""], [7], 7, {}]) {
    const options = { stop } as GenerateOptions;
    assertThrows(() => model.generate([1], options), DittoError, "A stop string is ");
  }

  const refused = (prompt: string | number[], message: string, options: GenerateOptions = {}) =>
    assertThrows(() => model.generate(prompt, options), DittoError, message);
  refused([], "The prompt is empty: give at least one token.");
  for (const prompt of [7, null, { role: "user", content: "a" }]) {
    refused(
      prompt as unknown as string,
      "it must be text, a list of messages, or a list of token ids.",
    );
  }
  for (const id of [384, -1, 1.5, NaN]) {
    refused([1, id], `Token 1 of the prompt is ${id}: the model has tokens 0 to 383.`);
    const replay = [id];
    refused([1], `Token 0 of the recorded answer is ${id}: `, { replay });
  }
  refused([1], "The recorded answer is empty", { replay: [] });
  const long = "The prompt has 20 tokens, and the context holds 20, answer included";
  refused(new Array(20).fill(1), long);

  const named = (name: string) => ({ [name]: 1 }) as GenerateOptions;
  refused(
    [1],
    "There is no option max_new_tokens: it is called maxNewTokens.",
    named("max_new_tokens"),
  );
  refused([1], "There is no option topk: it is called topK.", named("topk"));
  for (const options of [null, 7, "greedy"]) {
    const message = `The options are ${JSON.stringify(options)}: they must be an object.`;
    refused([1], message, options as unknown as GenerateOptions);
  }
  const replay = "abc" as unknown as number[];
  refused([1], `The recorded answer is "abc": it must be a list of token ids.`, { replay });
  refused([1], "There is no option beams: the options are maxNewTokens, ", named("beams"));
});

/** Every option of an interface, given as undefined. That this may be given is checked with the types. */
type Undefined<Options> = { [Name in keyof Options]-?: undefined };

Deno.test("options that are undefined or null are as if they were not given", async () => {
  const load: Undefined<Omit<LoadOptions, "context" | "rowCosts">> = {
    prompt: undefined,
    maxNewTokens: undefined,
    kvCache: undefined,
    quantize: undefined,
    promptPrecision: undefined,
    onProgress: undefined,
    signal: undefined,
    device: undefined,
  };
  const device: Undefined<OpenOptions> = {
    name: undefined,
    subgroups: undefined,
    smallestSubgroup: undefined,
    f16Conversions: undefined,
    maxBindingBytes: undefined,
  };
  const generate: Undefined<GenerateOptions> = {
    maxNewTokens: undefined,
    drafter: undefined,
    promptLookupNumTokens: undefined,
    maxMatchingNgramSize: undefined,
    ignoreEos: undefined,
    stop: undefined,
    signal: undefined,
    cachePrompt: undefined,
    logitsDigest: undefined,
    replay: undefined,
    submissionsAhead: undefined,
    temperature: undefined,
    topK: undefined,
    topP: undefined,
    minP: undefined,
    repetitionPenalty: undefined,
    seed: undefined,
  };
  const given: LoadOptions[] = [load, { ...load, device }];
  const nulls = <Options extends object>(options: Options): Options =>
    Object.fromEntries(Object.keys(options).map((name) => [name, null])) as Options;
  for (const options of [...given, nulls(load), { device: nulls<OpenOptions>(device) }]) {
    using model = await loadModel(DIRECTORY, { ...options, context: 20, rowCosts });
    const { tokens } = await model.generate("Say").result();
    for (const options of [generate as GenerateOptions, nulls(generate)]) {
      assertEquals((await model.generate("Say", options).result()).tokens, tokens);
    }
  }
  const context: LoadOptions = { context: undefined, rowCosts: undefined };
  using model = await loadModel(DIRECTORY, nulls(context));
  assertEquals(model.context, 2048); // all that the checkpoint was trained for
});

Deno.test("what options hold may be changed once they were given", async () => {
  const costs = [...rowCosts];
  using model = await loadModel(DIRECTORY, { context: 100, rowCosts: costs });
  costs[1] = 1000;
  assertEquals(model.rowCosts, rowCosts);
  const options = { maxNewTokens: 80, ignoreEos: true };
  const { text } = await model.generate("Say", options).result();
  const stop = [text[3]!];
  const replay = model.tokenize("Say the same.");
  const stopped = model.generate("Say", { ...options, stop });
  const replayed = model.generate("Say", { replay });
  stop[0] = "none";
  replay.fill(5);
  assertEquals((await stopped.result()).text, text.slice(0, text.indexOf(text[3]!)));
  assertEquals((await replayed.result()).tokens, model.tokenize("Say the same."));
});

Deno.test("loadModel() refuses wrong options by name", async () => {
  const refused = async (options: Parameters<typeof loadModel>[1], message: string) => {
    const error = await loadModel(DIRECTORY, options).then((model) => {
      model[Symbol.dispose]();
      return null;
    }, (error) => error);
    assert(error instanceof DittoError && error.message.startsWith(message), String(error));
  };
  for (const context of [0, 1, -5, 2.5, NaN, 2 ** 25]) {
    await refused(
      { context, rowCosts },
      `The option context is ${context}: it must be an integer from 2 to 16777216.`,
    );
  }
  for (const costs of [[], [1], new Array(32).fill(2), [1, 3, 2, ...new Array(29).fill(4)]]) {
    await refused({ context: 20, rowCosts: costs }, "The option rowCosts is [");
  }
  const zero = 0 as unknown as number[];
  await refused({ context: 20, rowCosts: zero }, "The option rowCosts is 0: it must be ");
  const onProgress = 5 as unknown as () => void;
  await refused({ rowCosts, onProgress }, "The option onProgress is 5: it must be a function.");
  const signal = {} as AbortSignal;
  await refused({ rowCosts, signal }, "The option signal is {}: it must be an AbortSignal.");
  const device = { sub_groups: false } as LoadOptions["device"] & object;
  await refused(
    { rowCosts, device },
    "There is no option sub_groups within device: it is called subgroups.",
  );
  const none = 3 as unknown as LoadOptions["device"] & object;
  await refused({ rowCosts, device: none }, "The option device is 3: it must be an object.");
  const name = 3 as unknown as string;
  await refused({ rowCosts, device: { name } }, "The device's name is 3: it must be a string.");
  await refused(
    { rowCosts, device: { name: "no such" } },
    'There is no WebGPU device with "no such" in its name: there is ',
  );
  const named = (name: string) => ({ [name]: 1 }) as LoadOptions;
  await refused(named("kv_cache"), "There is no option kv_cache: it is called kvCache.");
  await refused(named("dtype"), "There is no option dtype: the options are context, ");
  const kvCache = "f8" as "f16";
  await refused({ context: 20, rowCosts, kvCache }, `The option kvCache is "f8"`);
  const promptPrecision = "bf16" as "f16";
  await refused(
    { context: 20, rowCosts, promptPrecision },
    `The option promptPrecision is "bf16": it must be "f16" or "f32".`,
  );
});

Deno.test("loadModel() ends where its signal says so, with the signal's reason", async () => {
  const reason = new Error("enough");
  const ended = async (options: LoadOptions) => {
    const error = await loadModel(DIRECTORY, { context: 20, rowCosts, ...options })
      .then((model) => model[Symbol.dispose](), (error) => error);
    assertEquals(error, reason);
  };
  await ended({ signal: AbortSignal.abort(reason) });
  const abort = new AbortController();
  let calls = 0;
  const onProgress = () => {
    calls++;
    abort.abort(reason);
  };
  await ended({ signal: abort.signal, onProgress });
  assertEquals(calls, 1, "it went on");
});

Deno.test("prompts are in f16 where that is faster", () => {
  const gpu = {
    name: "a device",
    isSoftware: false,
    hasF16: true,
    convertsF16: true,
    subgroupSize: 32,
    subgroupVaries: false,
    maxBindingBytes: 1 << 27,
    maxBufferBytes: 1 << 28,
  };
  const intel = { ...gpu, subgroupSize: 8, subgroupVaries: true };
  assertEquals(checkPromptPrecision(undefined, gpu), "f16");
  assertEquals(checkPromptPrecision(undefined, { ...gpu, subgroupVaries: true }), "f16"); // RDNA
  assertEquals(checkPromptPrecision(undefined, { ...gpu, subgroupSize: null }), "f16");
  assertEquals(checkPromptPrecision(undefined, intel), "f32");
  assertEquals(checkPromptPrecision("f16", intel), "f16");
  assertEquals(checkPromptPrecision(undefined, { ...gpu, hasF16: false }), "f32");
  assertEquals(checkPromptPrecision(undefined, { ...gpu, isSoftware: true }), "f32");
});

Deno.test("prompts are in f16 on request, and by themselves on no CPU", async () => {
  const device = (await listDevices())[0]!;
  using model = await loadModel(DIRECTORY, { context: 20, rowCosts });
  const isFaster = device.hasF16 && !device.isSoftware && !hasFewRegisters(device);
  assertEquals(model.promptPrecision, isFaster ? "f16" : "f32");
  const load = () => loadModel(DIRECTORY, { context: 20, rowCosts, promptPrecision: "f16" });
  if (device.hasF16) {
    using other = await load();
    assertEquals(other.promptPrecision, "f16");
  } else {
    await assertRejects(load, DittoError, "does not compute in f16");
  }
});

Deno.test("a model without a tokenizer takes token ids, and says so of text", async () => {
  const directory = new URL("../fixtures/window-f32", import.meta.url);
  using model = await loadModel(directory, { context: 20, rowCosts });
  const { tokens, text } = await model.generate([1, 2], { maxNewTokens: 3 }).result();
  assert(!model.hasTokenizer && tokens.length > 0 && text === "");
  for (
    const call of [
      () => model.generate("text"),
      () => model.generate([1], { stop: "x" }),
      () => model.tokenize("text"),
      () => model.detokenize([1]),
    ]
  ) assertThrows(call, DittoError, "tokenizer.json");
});
