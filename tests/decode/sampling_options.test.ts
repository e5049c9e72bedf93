/** That sampling options reach the sampler: each changes answers, as far as it should. (sampling.test.ts: how.) */
import { assertEquals, assertNotEquals } from "@std/assert";
import { samplingOf } from "../../decode/options.ts";
import { GREEDY, type Sampling } from "../../decode/sampling.ts";
import { free, load } from "./one_model.ts";

Deno.test.afterAll(free);

/** The answer to one prompt. */
async function answer(options: Partial<Sampling>): Promise<readonly number[]> {
  const model = await load();
  const all = { maxNewTokens: 24, ignoreEos: true, ...options };
  return (await model.generate("The quick brown fox", all).result()).tokens;
}

Deno.test("sampling options are taken as they are, and greedy where there are none", () => {
  const options = {
    temperature: 0.7,
    topK: 40,
    topP: 0.9,
    minP: 0.05,
    repetitionPenalty: 1.1,
    seed: 7,
  };
  assertEquals(samplingOf(options), options);
  assertEquals(samplingOf({}), GREEDY);
});

Deno.test("at a temperature the seed makes the answer, and each makes its own", async () => {
  const greedy = await answer({});
  const temperature = 2;
  const one = await answer({ temperature, seed: 1 });
  const other = await answer({ temperature, seed: 2 });
  assertNotEquals(one, other, "seeds 1 and 2 draw the same");
  assertEquals(await answer({ temperature, seed: 1 }), one);
  assertEquals(await answer({ temperature, seed: 2 }), other);
  for (const drawn of [one, other]) assertNotEquals(drawn, greedy, "the likeliest were taken");
});

Deno.test("at a temperature the likeliest token is all that top-k, top-p and min-p can leave", async () => {
  const greedy = await answer({});
  const temperature = 2;
  for (const seed of [1, 2]) {
    assertNotEquals(await answer({ temperature, seed }), greedy, "the likeliest were taken");
    for (const cut of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
      assertEquals(await answer({ temperature, seed, ...cut }), greedy, Deno.inspect(cut));
    }
  }
});

Deno.test("the penalty changes answers that take the likeliest token too", async () => {
  const repetitionPenalty = 100;
  const penalised = await answer({ repetitionPenalty });
  assertNotEquals(penalised, await answer({}), "the penalty changes nothing");
  assertEquals(await answer({ repetitionPenalty, temperature: 1e-30 }), penalised);
});
