/**
 * A model in llama.cpp, through node-llama-cpp, that takes recorded tokens in place of its own choices.
 *
 * It is a process of its own, since node-llama-cpp finds its packages in the `node_modules` around it, which
 * Deno does only without Ditto's deno.json: `deno run -A --no-config --node-modules-dir=manual`. Arguments:
 * the `node_modules` directory, the GGUF file, tokens of the context, the backend, and threads. It reads tasks as
 * JSON lines and answers each with a line; the first line tells what runs.
 *
 * @module
 */
import type { LlamaInfo, LlamaRun, LlamaTask } from "./llama_process.ts";

/** What is used of node-llama-cpp, which is not installed with Ditto. */
interface NodeLlamaCpp {
  getLlama(options: Record<string, unknown>): Promise<Llama>;
  InputLookupTokenPredictor: new (options?: unknown) => { updateInputTokens(t: number[]): void };
  TokenBias: { for(model: Model): { set(token: number, bias: { logit: number }): unknown } };
}
interface Llama {
  readonly gpu: string | false;
  readonly llamaCppRelease: { readonly release: string };
  getGpuDeviceNames(): Promise<string[]>;
  loadModel(options: Record<string, unknown>): Promise<Model>;
  dispose(): Promise<void>;
}
interface Model {
  createContext(options: Record<string, unknown>): Promise<Context>;
}
interface Context {
  getSequence(options?: Record<string, unknown>): Sequence;
  dispose(): Promise<void>;
}
/** One text in the context. */
interface Sequence {
  readonly tokenPredictions: { readonly used: number };
  evaluate(tokens: number[], options: Record<string, unknown>): AsyncIterable<number>;
  clearHistory(): Promise<void>;
  dispose(): void;
}

const [modules, modelPath, contextSize, gpu, threads] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
];
const library: NodeLlamaCpp = await import(
  `file://${await Deno.realPath(modules)}/node-llama-cpp/dist/index.js`
);
const llama = await library.getLlama({
  gpu: gpu === "none" ? false : gpu,
  build: "never",
  progressLogs: false,
  logLevel: "error",
});
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({
  contextSize: Number(contextSize),
  batchSize: 512,
  ...(threads && { threads: Number(threads) }),
});
const info: LlamaInfo = {
  device: (await llama.getGpuDeviceNames())[0] ?? "CPU",
  backend: llama.gpu || "CPU",
  version: llama.llamaCppRelease.release,
};
console.log(JSON.stringify(info));

let rest = "";
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\n");
  rest = lines.pop()!;
  for (const line of lines) console.log(JSON.stringify(await run(JSON.parse(line))));
}
await context.dispose();
await llama.dispose();

/** Decodes a recorded answer. */
async function run({ prompt, answer, lookup }: LlamaTask): Promise<LlamaRun> {
  const predictor = lookup ? new library.InputLookupTokenPredictor() : undefined;
  const sequence = context.getSequence(predictor && { tokenPredictor: predictor });
  let made = 0;
  let ahead = 0; // tokens chosen since the last one was made: rows of the pass at hand
  const tokenBias = () => {
    const bias = library.TokenBias.for(model);
    bias.set(answer[Math.min(made + ahead++, answer.length - 1)]!, { logit: 1e9 });
    return bias;
  };
  const start = performance.now();
  let promptEnd = start;
  predictor?.updateInputTokens([...prompt]);
  try {
    // Greedy without filters, which would look at the logits again.
    const options = { temperature: 0, topK: 1, topP: 1, tokenBias, yieldEogToken: true };
    for await (const token of sequence.evaluate([...prompt], options)) {
      if (made === 0) promptEnd = performance.now();
      if (token !== answer[made]) {
        throw new Error(`llama.cpp chose ${token} where ${answer[made]} was recorded`);
      }
      made++;
      ahead = 0;
      if (made === answer.length) break;
    }
    const decodeMs = performance.now() - promptEnd;
    const tokens = made - 1;
    const passes = tokens - sequence.tokenPredictions.used;
    return { promptMs: promptEnd - start, decodeMs, tokens, passes };
  } finally {
    await sequence.clearHistory();
    sequence.dispose();
  }
}
