/** Which web pages may ask examples/server.ts (CORS). */
import type { IncomingMessage, ServerResponse } from "node:http";
import { refuse } from "./fields.ts";

/** Origins of pages that this machine serves. */
const LOCAL = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
/** Those of programs made of pages: editors, Obsidian, what Electron and Tauri pack. */
const PROGRAM = /^(app|file|tauri|vscode-file|vscode-webview):\/\//;

/**
 * Refuses what pages of other origins ask, which browsers name, and tells the browser that the others may read the answer.
 *
 * It would not be enough that a browser keeps the answer from a page: any web site that is open could have the model work
 * unnoticed, with requests that it calls text/plain. (Ollama admits the same pages, llama.cpp's server and vLLM all, LM
 * Studio none unless told to.)
 *
 * @param others Further origins that may ask; "*" for all.
 */
export function admit(
  { headers }: IncomingMessage,
  response: ServerResponse,
  others: readonly string[],
): void {
  const { origin, "access-control-request-headers": asked } = headers;
  if (origin === undefined) return;
  const isKnown = LOCAL.test(origin) || PROGRAM.test(origin) || others.includes(origin);
  if (!isKnown && !others.includes("*")) {
    const advice = origin === "null" // that of a file, and of what any site puts into a sandbox
      ? "Let a server have the page, on this machine for example."
      : `Start the server with --cors ${origin} to let them.`;
    const sentence = `Pages of the origin ${origin} may not ask. ${advice}`;
    console.error(sentence); // who looks at the page is not shown the answer
    refuse(sentence, 403);
  }
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("vary", "origin");
  if (asked) response.setHeader("access-control-allow-headers", asked);
}
