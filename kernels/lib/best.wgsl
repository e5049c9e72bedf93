// The likeliest token of a slice of the vocabulary.
struct Best {
  logit: f32,
  token: u32,
}

// Below all logits that count: the best of nothing but NaN and -∞.
const LOWEST = -3.4e38;

// Of equal logits the lowest token's is the better one.
fn is_better(a: Best, b: Best) -> bool {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}
