/**
 * A headless Chromium, spoken to in its DevTools protocol.
 *
 * @module
 */

/** Chromium's path, or null where it is not installed. */
export function findBrowser(): string | null {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
      try {
        const path = `${directory}/${name}`;
        if (Deno.statSync(path).isFile) return path;
      } catch {
        // Not here.
      }
    }
  }
  return null;
}

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--window-size=1200,900",
  "--remote-debugging-port=0",
];

// deno-lint-ignore no-explicit-any
type Json = any;

/** One page in a browser of its own. */
export class BrowserPage implements AsyncDisposable {
  /** What the page complained about: errors, warnings, exceptions. */
  readonly complaints: string[] = [];
  /** What it loaded. */
  readonly requests: string[] = [];
  #process: Deno.ChildProcess;
  #profile: string;
  #socket: WebSocket;
  #session = "";
  #calls = new Map<number, { resolve(result: Json): void; reject(error: Error): void }>();
  #events = new Map<string, () => void>();

  private constructor(process: Deno.ChildProcess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  /** Starts a browser and opens a page. */
  static async open(browser: string, url: URL): Promise<BrowserPage> {
    const profile = await Deno.makeTempDir({ prefix: "ditto_browser_" });
    const process = new Deno.Command(browser, {
      args: [...FLAGS, `--user-data-dir=${profile}`, "about:blank"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    try {
      return await BrowserPage.#attach(process, profile, url);
    } catch (error) {
      process.kill();
      throw error;
    }
  }

  static async #attach(
    process: Deno.ChildProcess,
    profile: string,
    url: URL,
  ): Promise<BrowserPage> {
    const socket = new WebSocket(await debuggerUrl(process.stderr));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    const page = new BrowserPage(process, profile, socket);
    const { targetId } = await page.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await page.call("Target.attachToTarget", { targetId, flatten: true });
    page.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.call(`${domain}.enable`);
    const loaded = new Promise<void>((resolve) => page.#events.set("Page.loadEventFired", resolve));
    await page.call("Page.navigate", { url: url.href });
    await loaded;
    return page;
  }

  /** Calls a method of the protocol. */
  call(method: string, params: Json = {}): Promise<Json> {
    const id = this.#calls.size + 1;
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    this.#calls.set(id, { resolve, reject });
    const sessionId = this.#session || undefined;
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return promise;
  }

  /** The value of a JavaScript expression in the page. */
  async evaluate(expression: string): Promise<Json> {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression,
      returnByValue: true,
    });
    if (exceptionDetails) {
      throw new Error(`${expression}: ${exceptionDetails.exception.description}`);
    }
    return result.value;
  }

  /** Moves the mouse to the middle of an element, and perhaps clicks. */
  async point(selector: string, click = false): Promise<void> {
    const { x, y } = await this.evaluate(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      element.scrollIntoView({ block: "center" });
      const { left, top, width, height } = element.getClientRects()[0];
      return { x: left + width / 2, y: top + height / 2 };
    })()`);
    const at = { x, y, button: "left", clickCount: 1 };
    await this.call("Input.dispatchMouseEvent", { ...at, type: "mouseMoved", button: "none" });
    if (!click) return;
    await this.call("Input.dispatchMouseEvent", { ...at, type: "mousePressed" });
    await this.call("Input.dispatchMouseEvent", { ...at, type: "mouseReleased" });
  }

  /** Presses a key. */
  async press(key: string): Promise<void> {
    await this.call("Input.dispatchKeyEvent", { type: "keyDown", key });
    await this.call("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  /** A picture of what is seen, as PNG. */
  async screenshot(): Promise<Uint8Array> {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    return Uint8Array.fromBase64(data);
  }

  /** Ends the browser. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#session = "";
    this.call("Browser.close").catch(() => {});
    await Promise.all([closed, this.#process.status]);
    await Deno.remove(this.#profile, { recursive: true }).catch(() => {}); // a helper may still write there
  }

  #receive({ id, method, params, result, error }: Json): void {
    if (id !== undefined) {
      const call = this.#calls.get(id);
      if (error) call?.reject(new Error(error.message));
      else call?.resolve(result);
      return;
    }
    this.#events.get(method)?.();
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Log.entryAdded") this.complaints.push(params.entry.text);
    if (method === "Runtime.exceptionThrown") {
      this.complaints.push(JSON.stringify(params.exceptionDetails));
    }
    if (method === "Runtime.consoleAPICalled") this.complaints.push(JSON.stringify(params.args));
  }
}

/** Waits for the line in which Chromium says where it listens; what comes later is read and dropped. */
async function debuggerUrl(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stderr.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string>)
    .getReader();
  let text = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Chromium ended before it listened:\n${text}`);
    text += value;
    const [, url] = /DevTools listening on (\S+)\n/.exec(text) ?? [];
    if (!url) continue;
    (async () => {
      while (!(await reader.read()).done);
    })();
    return url;
  }
}
