/** Stop strings, against cutting the whole text. */
import { assertEquals } from "@std/assert";
import { StopStrings } from "../../decode/stop_strings.ts";
import { seeded } from "../random.ts";

/** What is shown of a text that arrives in parts. */
function shown(parts: readonly string[], stops: readonly string[]) {
  const watch = new StopStrings(stops);
  let text = "";
  for (const part of parts) {
    const next = watch.push(part);
    text += next.text;
    if (next.stopped) return { text, stopped: true };
  }
  return { text: text + watch.flush(), stopped: false };
}

Deno.test("nothing of a stop string or after it is shown", () => {
  assertEquals(shown(["a", "b\n", "\nc"], ["\n\n"]), { text: "ab", stopped: true });
  assertEquals(shown(["a\n", "b\n"], ["\n\n"]), { text: "a\nb\n", stopped: false });
  assertEquals(shown(["xEN", "EN", "D!"], ["END"]), { text: "xEN", stopped: true });
  assertEquals(shown(["anything"], []), { text: "anything", stopped: false });
  const many = Array.from({ length: 200_000 }, (_, i) => `s${i}`);
  assertEquals(shown(["as", "b s7 s"], many), { text: "asb ", stopped: true });
});

Deno.test(
  "text in random parts is cut where the whole text is",
  seeded((random) => {
    const word = (n: number) => Array.from({ length: n }, () => random.pick("aab")).join("");
    for (let i = 0; i < 3000; i++) {
      const stops = Array.from({ length: random.below(4) }, () => word(random.between(1, 4)));
      const parts = Array.from({ length: random.below(12) }, () => word(random.below(4)));
      // The stop that is complete first ends the text; a part is looked at as a whole.
      let text = "";
      let expected = { text: parts.join(""), stopped: false };
      for (const part of parts) {
        text += part;
        const at = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
        if (at.length > 0) {
          expected = { text: text.slice(0, Math.min(...at)), stopped: true };
          break;
        }
      }
      assertEquals(shown(parts, stops), expected, JSON.stringify({ stops, parts }));
    }
  }),
);
