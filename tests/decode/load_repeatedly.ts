/**
 * Loads and disposes a model 40 times and prints the resident bytes after each. Run with --expose-gc, so that
 * garbage, which V8 collects when it likes, does not count.
 *
 * @module
 */
import { loadModel } from "../../mod.ts";

const directory = new URL("../fixtures/tiny-gqa-bf16", import.meta.url);
const collect = (globalThis as unknown as { gc(): void }).gc;
const rss: number[] = [];
for (let i = 0; i < 40; i++) {
  {
    using model = await loadModel(directory, { context: 400, rowCosts: new Array(32).fill(1) });
    await model.generate([1, 2, 3], { maxNewTokens: 3, logitsDigest: true }).result();
  }
  collect();
  rss.push(Deno.memoryUsage().rss);
}
console.log(JSON.stringify(rss));
