/**
 * Runs the command line as a person does.
 *
 * @module
 */
import { assert, assertMatch } from "@std/assert";

/** The repository. */
export const ROOT = new URL("../../", import.meta.url);
/** The small checkpoint with a tokenizer, relative to it. */
export const FIXTURE = "tests/fixtures/tiny-gqa-bf16";

/** What a process left. */
export interface Finished {
  /** Exit code; a shell's code for a signal if one ended it. */
  readonly code: number;
  /** What it wrote to standard output. */
  readonly stdout: string;
  /** What it wrote to standard error. */
  readonly stderr: string;
}

/** Starts `deno run -A decode.ts` with arguments. */
export function start(
  args: readonly string[],
  env: Record<string, string> = {},
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "decode.ts", ...args],
    cwd: ROOT,
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs `deno run -A decode.ts` with arguments to its end. */
export async function run(
  args: readonly string[],
  { stdin = "", env = {} }: { stdin?: string | Uint8Array; env?: Record<string, string> } = {},
): Promise<Finished> {
  const child = start(args, env);
  await feed(child, stdin);
  return await finish(child);
}

/** Runs another of the repository's scripts to its end. */
export async function runScript(path: string, ...args: string[]): Promise<Finished> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", path, ...args],
    cwd: ROOT,
  });
  const { code, stdout, stderr } = await command.output();
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

/** Gives a process its standard input, whether it reads it or not. */
export async function feed(child: Deno.ChildProcess, input: string | Uint8Array): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
    await writer.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

async function finish(child: Deno.ChildProcess): Promise<Finished> {
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** One line that a person can act on: no stack trace, no type's name. */
export function assertSentence(stderr: string): void {
  assertMatch(stderr, /^\S.*[.)]\n$/);
  assert(!/Error:|\bat file:|undefined|bug/.test(stderr), stderr);
}

/** Copies the small checkpoint into a directory. */
export async function copyFixture(directory: string): Promise<void> {
  for await (const { name } of Deno.readDir(new URL(FIXTURE, ROOT))) {
    await Deno.copyFile(new URL(`${FIXTURE}/${name}`, ROOT), `${directory}/${name}`);
  }
}
