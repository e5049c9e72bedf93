/** How many steps each submission has. */
import { assert, assertEquals } from "@std/assert";
import { Pacing } from "../../decode/pacing.ts";
import { Random, seeded } from "../random.ts";

Deno.test("a first generation begins with single steps, later ones with what lasts until results are there", () => {
  assertEquals(new Pacing(100, 16, Infinity).next(), 1);
  assertEquals(new Pacing(100, 16, 200).next(), 1);
  assertEquals(new Pacing(100, 16, 2).next(), 5);
  assertEquals(new Pacing(100, 16, 0.1).next(), 16);
  assertEquals(new Pacing(100, 3, 0.1).next(), 3);
  assertEquals(new Pacing(2, 16, 0.1).next(), 2);
});

Deno.test("submissions grow while steps are fast, and no further than they have to", () => {
  const pacing = new Pacing(100, 16, Infinity);
  pacing.begin();
  const sizes: number[] = [];
  while (pacing.read < 100) {
    const steps = pacing.next();
    sizes.push(steps);
    pacing.submitted += steps;
    pacing.read += steps;
    pacing.made += steps;
    pacing.grow();
  }
  assertEquals(sizes, [1, 2, 4, 8, 16, 16, 16, 16, 16, 5]);
});

Deno.test("slow steps are submitted one by one", async () => {
  const pacing = new Pacing(100, 16, 1);
  pacing.begin();
  assertEquals(pacing.next(), 10);
  await new Promise((resolve) => setTimeout(resolve, 60));
  pacing.submitted = pacing.read = pacing.made = 1; // 60 ms a step
  pacing.grow();
  assertEquals(pacing.next(), 1);
  assert(pacing.stepMs >= 59, `${pacing.stepMs}`);
});

Deno.test("submissions are short that are over before the results of the one before can be there", () => {
  const pacing = new Pacing(100, 16, Infinity);
  assertEquals([1, 16].map((steps) => pacing.isShort(steps)), [false, false]);
  pacing.ran(2, 7, 5); // 3.5 ms a step
  assertEquals([1, 2, 3, 16].map((steps) => pacing.isShort(steps)), [true, true, false, false]);
  // Over before it was asked for: while its reader was busy, perhaps, so that it took no longer than the last one did.
  pacing.ran(2, 60, 0);
  assertEquals([2, 3].map((steps) => pacing.isShort(steps)), [true, false]);
  pacing.ran(2, 1, 0);
  assertEquals([16, 20].map((steps) => pacing.isShort(steps)), [true, false]);
  pacing.ran(2, 7, 5);
  assertEquals([2, 3].map((steps) => pacing.isShort(steps)), [true, false]);
});

Deno.test(
  "whatever passes make, there is a step until the last token is known, and few after it",
  seeded((random: Random) => {
    const maxNewTokens = random.between(1, 300);
    const ahead = random.between(1, 8);
    const perPass = random.pick([1, 2, 5, 32]);
    const pacing = new Pacing(maxNewTokens, 16, random.pick([Infinity, 5, 0.1]));
    pacing.begin();
    const underWay: number[] = [];
    while (pacing.made < maxNewTokens) {
      const steps = underWay.length < ahead ? pacing.next() : 0;
      if (steps > 0) {
        underWay.push(steps);
        pacing.submitted += steps;
        continue;
      }
      assert(underWay.length > 0, "nothing is under way");
      for (let i = underWay.shift()!; i > 0 && pacing.made < maxNewTokens; i--) {
        pacing.read++;
        pacing.made += Math.min(random.between(1, perPass), maxNewTokens - pacing.made);
      }
      pacing.grow();
    }
    assert(pacing.submitted <= maxNewTokens);
    assert(pacing.submitted - pacing.read < 16 * ahead);
    if (perPass === 1) assertEquals(pacing.submitted, maxNewTokens);
  }),
);
