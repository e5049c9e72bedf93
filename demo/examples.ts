/**
 * What the demo asks: one example of each task that the model in the box was trained for, in the forms of
 * tools/train/generator.py. None of them was trained on.
 *
 * @module
 */
import type { Message } from "../mod.ts";

/** A question of the demo. */
export interface Example {
  /** The task's name. */
  readonly task: string;
  /** The chat up to the answer. */
  readonly chat: readonly Message[];
}

/** The turns of a chat, the user's first. */
function chat(...turns: string[]): Message[] {
  return turns.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
}

/** The examples in the order in which they are shown. */
export const EXAMPLES: readonly Example[] = [
  {
    task: "rename",
    chat: chat(`Rename total to orderSum:
function checkOrder(itemList, limit) {
  let total = readPrice(itemList, limit);
  let rate = total / 12;
  if (total > limit) {
    total = total - rate;
  }
  console.log("order", total);
  return total + rate;
}`),
  },
  {
    task: "argument",
    chat: chat(`Add a last parameter step to scaleImage and pass 4 in every call:
function scaleImage(image, size) {
  return samplePixel(image);
}
let width = scaleImage(page, 64);
let height = scaleImage(page, 16);
samplePixel(letter, 32);
let color = scaleImage(letter, 8);`),
  },
  {
    task: "edit",
    chat: chat(`plt.figure(figsize=(8, 5))
plt.plot(year, salt_price, color="blue")
plt.title("Salt price")
plt.xlabel("year")
plt.ylabel("price")
plt.xlim(25, 400)
plt.ylim(25, 900)
plt.savefig("salt.png")

Start the x axis at 0.`),
  },
  {
    task: "quote",
    chat: chat(`The bakery in Velton was built by Mara Sorin in 1612. \
The train to Velton leaves at 9:40 from platform 3.

Tobin Darek keeps 14 goats near Tarlo. The bakery in Tarlo was built by Iva Renn in 1790. \
Tobin Darek works as a mason in Velton.

When was the bakery in Tarlo built?`),
  },
  {
    task: "extract",
    chat: chat(`Extract id, item, quantity and price of each order as JSON lines:
Order B204: 12 x lamp at 35 each
Order C871: 3 x carpet at 240 each
This was written in a hurry.
Order A553: 40 x bell at 18 each`),
  },
  {
    task: "correct",
    chat: chat(
      `Rename 'node_list' to 'tree':
def count_point(node_list, level):
    depth = level + 1
    print("point", depth)
    first = get_edge(node_list, depth)
    first += level
    return get_edge(node_list, first)`,
      `def count_point(tree, level):
    depth = level + 1
    print("point", depth)
    first = get_edge(tree, depth)
    first += level
    return get_edge(tree, first)`,
      "No, call it 'graph'.",
    ),
  },
];
