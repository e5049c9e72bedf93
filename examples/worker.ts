/**
 * Asks a model in a Worker, so that this thread waits for nothing: it prints the answer as it comes, and sees Ctrl-C,
 * which ends it, at once. The Worker is examples/worker_model.ts.
 *
 *     deno run -A examples/worker.ts MODEL PROMPT
 */
import type { DittoError, GenerateOptions, GenerationResult, Piece, Prompt } from "../mod.ts";

const [directory, content] = Deno.args;
if (!directory || !content) {
  console.error("Usage: deno run -A examples/worker.ts MODEL PROMPT");
  Deno.exit(2);
}

/** What the Worker posts: pieces, then either of the others. */
export interface Answer {
  readonly piece?: Piece;
  readonly result?: GenerationResult;
  readonly error?: Pick<DittoError, "name" | "message" | "code">;
}

/**
 * What it is asked; null in its place is to free the model. A port comes along for the answer, on which anything that is
 * posted back is an abort.
 */
export interface Question {
  readonly directory: string;
  readonly prompt: Prompt;
  readonly options: Omit<GenerateOptions, "signal">;
}

const worker = new Worker(import.meta.resolve("./worker_model.ts"), { type: "module" });

/** Asks. Several may do so at once; they are answered one after the other. */
function ask(
  question: Question,
  onPiece: (piece: Piece) => void,
  signal: AbortSignal,
): Promise<GenerationResult> {
  const { port1: port, port2 } = new MessageChannel();
  const abort = () => port.postMessage("abort");
  return new Promise<GenerationResult>((resolve, reject) => {
    port.onmessage = ({ data: { piece, result, error } }: MessageEvent<Answer>) => {
      if (piece) onPiece(piece);
      if (result) resolve(result);
      if (error) reject(Object.assign(new Error(error.message), error));
    };
    signal.addEventListener("abort", abort);
    worker.postMessage(question, [port2]);
    if (signal.aborted) abort();
  }).finally(() => {
    signal.removeEventListener("abort", abort);
    port.close();
  });
}

const interrupt = new AbortController();
Deno.addSignalListener("SIGINT", () => interrupt.abort());
const question = {
  directory,
  prompt: [{ role: "user", content }],
  options: { maxNewTokens: 500 },
};
try {
  const print = ({ text }: Piece) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  const { tokens, stopReason } = await ask(question, print, interrupt.signal);
  console.log(`\n\n${tokens.length} tokens; the end: ${stopReason}`);
} catch (error) {
  if (!(error instanceof Error) || error.name !== "DittoError") throw error;
  console.error(error.message); // such as that there is no such directory
  Deno.exitCode = 1;
}
// The Worker frees the model before the process ends: a thread that is ended at its work on the GPU may take Deno with it.
const { port1, port2 } = new MessageChannel();
worker.postMessage(null, [port2]);
await new Promise((freed) => port1.onmessage = freed);
Deno.exit();
