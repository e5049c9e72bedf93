/** What the drafters of a loaded model know: its tokenizer's words, and nothing of the answers before. */
import { assert, assertEquals } from "@std/assert";
import { loadModel } from "../../mod.ts";
import { loadTokenizer } from "../../model/tokenizer.ts";
import { DIRECTORY, free, load } from "./one_model.ts";

Deno.test.afterAll(free);

Deno.test("the tree finds a word that stands in other letters, the original rule does not", async () => {
  const model = await load();
  const tokenizer = await loadTokenizer(DIRECTORY, model.config);
  const words = tokenizer!.words(model.config.vocabSize);
  const [large, small] = [..."Hh"].map((letter) => {
    return tokenizer!.encode(letter, { addSpecialTokens: false }).at(-1)!;
  });
  assert(large !== small && words[large!] === words[small!]);
  const others = [...words.keys()].filter((id) => words[id] === id && words[small!] !== id).slice(
    -9,
  );
  const prompt = [others[0]!, large!, ...others.slice(1), small!];
  for (const [drafter, ngram] of [["tree", 1], ["original", 0]] as const) {
    await using generation = model.generate(prompt, { drafter, maxNewTokens: 40, ignoreEos: true });
    const { value: piece } = await generation[Symbol.asyncIterator]().next();
    assertEquals([drafter, piece!.drafted > 0, piece!.ngram], [drafter, ngram > 0, ngram]);
    if (ngram > 0) assertEquals(piece!.source, 2);
  }
});

Deno.test("what an answer taught the tree is forgotten in the next", async () => {
  const rowCosts = Array.from({ length: 32 }, (_, drafts) => 1 + 0.1 * drafts);
  using model = await loadModel(DIRECTORY, { context: 400, rowCosts });
  const cycle = Array.from({ length: 60 }, (_, i) => 10 + i % 6);
  const paces = async (answer: readonly number[]) => {
    const prompt = cycle.slice(0, 30);
    const options = { replay: answer, maxNewTokens: answer.length, ignoreEos: true };
    const pieces = await Array.fromAsync(model.generate(prompt, options));
    return pieces.map(({ drafted, tokens, source }) => [drafted, tokens.length, source]);
  };
  const fresh = await paces(cycle);
  assert(fresh.some(([drafted]) => drafted! > 0));
  // Where lookup is wrong all the time, and where it is right.
  for (const other of [cycle.toReversed(), cycle]) {
    await paces(other);
    assertEquals(await paces(cycle), fresh);
  }
});
