// The likeliest token of a slice of the vocabulary.
struct Best {
  logit: f32,
  token: u32,
}

// Below all logits that count: the best of nothing but NaN and -∞.
const LOWEST = -3.4e38;
