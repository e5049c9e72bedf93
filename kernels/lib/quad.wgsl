// Four weight rows that a decoding product works on together, and how it reads them and its rows of x: in pieces, each an
// eight, or a sixteen of weights in few bits or F8.

// A quad's sums, of four neighbouring rows.
struct Four {
  a: vec4f,
  b: vec4f,
  c: vec4f,
  d: vec4f,
}

// A piece of a quad's weights.
struct Fetched {
  a: Stored,
  b: Stored,
  c: Stored,
  d: Stored,
}

// An eight of a quad's weights.
struct Weights {
  a: Eight,
  b: Eight,
  c: Eight,
  d: Eight,
}

// One of four values, by its number. (Spelled out: a vector that is indexed is kept in memory.)
fn member(v: vec4f, i: u32) -> f32 {
  var mine = v.x;
  if (i == 1u) { mine = v.y; }
  if (i == 2u) { mine = v.z; }
  if (i == 3u) { mine = v.w; }
  return mine;
}

// Pieces of a row.
fn pieces() -> u32 {
  return (K8 + EIGHTS - 1u) / EIGHTS;
}

// Pieces of a row of x, which is padded to sixteens.
fn plane_width() -> u32 {
  return (K8 + 1u) / 2u * 2u / EIGHTS;
}

fn fetch_quad(n: vec4u, k: u32) -> Fetched {
  return Fetched(fetch(n.x, k), fetch(n.y, k), fetch(n.z, k), fetch(n.w, k));
}

fn unpack_quad(w: Fetched, k: u32, part: u32) -> Weights {
  return Weights(unpack(w.a, k, part), unpack(w.b, k, part), unpack(w.c, k, part), unpack(w.d, k, part));
}
