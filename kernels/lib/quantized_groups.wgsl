// Fetching the groups of weights in BITS bits, each a vector of WORDS words: see quantized.wgsl. What unpacks them
// supplies BITS, WORDS and the vector's type. A row is row_words(BITS) / WORDS of them.

const EIGHTS = 2u;

// A group.
struct Stored {
  w: Words,
  scales: u32, // a word of four groups' scales
}

fn row_start(row: u32) -> u32 {
  return row * (row_words(BITS) / WORDS);
}

fn scales_of(row: u32, group: u32) -> u32 {
  let at = scale_word(BITS, group);
  return word(row_start(row) + at / WORDS, at % WORDS);
}

fn fetch(row: u32, group: u32) -> Stored {
  return Stored(words(row_start(row) + group), scales_of(row, group));
}

// The smallest scale of a row.
fn row_scale(row: u32) -> f32 {
  return bitcast<f32>(word(row_start(row + 1u) - 1u, WORDS - 1u));
}
