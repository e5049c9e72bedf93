/**
 * The process in which llama.cpp runs, llama_worker.ts, and what is said to it.
 *
 * @module
 */
import { DittoError } from "../../kernels/errors.ts";

/** What runs. */
export interface LlamaInfo {
  readonly device: string;
  /** "cuda", "vulkan", "CPU", … */
  readonly backend: string;
  /** Of llama.cpp, as node-llama-cpp names it. */
  readonly version: string;
}

/** A recorded answer to decode. */
export interface LlamaTask {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  /** Whether to use the input lookup predictor. */
  readonly lookup: boolean;
}

/** What decoding an answer took. */
export interface LlamaRun {
  readonly promptMs: number;
  /** After the prompt, whose pass made the first token. */
  readonly decodeMs: number;
  /** Made in that time. */
  readonly tokens: number;
  /** Passes in that time. */
  readonly passes: number;
}

/** A model in llama.cpp. */
export class LlamaProcess implements AsyncDisposable {
  #child: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #output: ReadableStreamDefaultReader<string>;
  #rest = "";

  /**
   * Starts the process.
   *
   * @param modules The `node_modules` directory that node-llama-cpp is installed in.
   * @param gpu The backend; "auto" takes the best that is installed, "none" the CPU.
   * @param threads Default: llama.cpp's choice.
   */
  constructor(modules: string, file: string, contextSize: number, gpu: string, threads?: number) {
    const worker = `${import.meta.dirname}/llama_worker.ts`;
    const args = ["run", "-A", "--no-config", "--node-modules-dir=manual", worker];
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...args, modules, file, String(contextSize), gpu, String(threads ?? "")],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** What runs; to be asked for once, before the first task. */
  async info(): Promise<LlamaInfo> {
    return await this.#line() as LlamaInfo;
  }

  /** Decodes a recorded answer. */
  async run(task: LlamaTask): Promise<LlamaRun> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(task) + "\n"));
    return await this.#line() as LlamaRun;
  }

  async #line(): Promise<unknown> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        if (line.startsWith("{")) return JSON.parse(line); // the library prints too
        continue;
      }
      const { value, done } = await this.#output.read();
      if (done) throw new DittoError("llama.cpp ended before it was done; its message is above.");
      this.#rest += value;
    }
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // it may have ended by itself
    await this.#child.status;
  }
}
