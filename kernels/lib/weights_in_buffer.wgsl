// Weights in a buffer. What unpacks them supplies Words, what it loads at once.

@group(0) @binding(0) var<storage, read> weights: array<Words>; // [rows of this part][Words of a row]

fn words(i: u32) -> Words {
  return weights[i];
}

fn word(i: u32, part: u32) -> u32 {
  return weights[i][part];
}
