/** What a loaded model tells its drafter of its tokenizer: which tokens write the same word. */
import { assert, assertEquals } from "@std/assert";
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
