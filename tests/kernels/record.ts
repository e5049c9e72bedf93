/**
 * Keeps dispatches of the tests in a directory, with what they read and what they wrote, for tools/gpu/races.py.
 *
 * @module
 */
import type { Kernel } from "../../kernels/compiler.ts";
import type { Stage } from "../../kernels/stages.ts";
import type { Data, Job } from "./harness.ts";

/** Runs that are kept of a kernel at most. */
const RUNS = 3;
/** Words that the arrays of a run have at most. */
const WORDS = 10e6;

/** Records into one directory. */
export class Recorder {
  readonly #directory: string;
  #names = new Map<Kernel, string>();
  #runs = new Map<string, number>();

  constructor(directory: string) {
    for (const name of ["kernels", "runs"]) {
      Deno.mkdirSync(`${directory}/${name}`, { recursive: true });
    }
    this.#directory = Deno.realPathSync(directory);
  }

  /** Names a kernel and keeps its text and constants. */
  name(kernel: Kernel, stage: Stage, source: string, constants: Record<string, number>): void {
    if (this.#names.has(kernel)) return;
    const name = `${stage}-${crypto.randomUUID().slice(0, 8)}`;
    this.#names.set(kernel, name);
    Deno.writeTextFileSync(`${this.#directory}/kernels/${name}.wgsl`, source);
    Deno.writeTextFileSync(`${this.#directory}/kernels/${name}.json`, JSON.stringify(constants));
  }

  /** Keeps a run that is over, if it was of named kernels: `before` says what was in an array. */
  run(jobs: readonly Job[], outputs: readonly Data[], before: (data: Data) => Data): void {
    const names = jobs.map(({ kernel }) => this.#names.get(kernel)).filter((name) =>
      name !== undefined
    );
    if (names.length < jobs.length) return;
    const data = [...new Set(jobs.flatMap((job) => job.bindings))];
    const isKnown = names.every((name) => (this.#runs.get(name) ?? 0) >= RUNS);
    if (isKnown || data.reduce((sum, { length }) => sum + length, 0) > WORDS) return;
    for (const name of new Set(names)) this.#runs.set(name, (this.#runs.get(name) ?? 0) + 1);
    const directory = `${this.#directory}/runs/${names[0]}-${crypto.randomUUID()}`;
    Deno.mkdirSync(directory);
    // The lines that tools/gpu/races/races.cpp reads.
    const lines = [
      data.length,
      ...data.map((one) => `${one.byteLength} ${outputs.includes(one) ? 1 : 0}`),
      jobs.length,
      ...jobs.map(({ bindings, workgroups: [x, y = 1, z = 1] }, i) => {
        const library = `${this.#directory}/kernels/${names[i]}.so`;
        const bound = bindings.map((one) => data.indexOf(one));
        return [library, x, y, z, bound.length, ...bound].join(" ");
      }),
    ];
    Deno.writeTextFileSync(`${directory}/run.txt`, lines.join("\n") + "\n");
    write(`${directory}/before.bin`, data.map(before));
    write(`${directory}/after.bin`, data.filter((one) => outputs.includes(one)));
  }
}

function write(path: string, arrays: readonly Data[]): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  for (const array of arrays) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
  }
}
