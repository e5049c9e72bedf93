// Where a draft comes from: the place in the text whose continuation it is, or is part of.

struct Source {
  start: u32, // index into tokens of that continuation's first token, the draft of depth 1
  ngram: u32, // tokens right before it that match the end of the text
}
