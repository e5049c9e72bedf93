/** A model in a Worker, for examples/worker.ts: loaded for the first question, it answers one after the other. */
import { type DittoError, type LanguageModel, loadModel } from "../mod.ts";
import type { Answer, Question } from "./worker.ts";

let model: LanguageModel | null = null;
let last = Promise.resolve();

async function answer({ directory, prompt, options }: Question, port: MessagePort): Promise<void> {
  const post = (answer: Answer) => port.postMessage(answer);
  const abort = new AbortController();
  port.onmessage = () => abort.abort();
  try {
    model ??= await loadModel(directory);
    const generation = model.generate(prompt, { ...options, signal: abort.signal });
    for await (const piece of generation) post({ piece });
    post({ result: await generation.result() });
  } catch (error) {
    // Posted as it is, an error would lose its name and its code, and with them what kind it is.
    const { name, message, code } = error as DittoError;
    post({ error: { name, message, code } });
  }
}

function free(port: MessagePort): void {
  model?.[Symbol.dispose]();
  port.postMessage("freed");
}

self.addEventListener("message", (event) => {
  const { data, ports: [port] } = event as MessageEvent<Question | null>;
  last = last.then(() => data ? answer(data, port!) : free(port!));
});
