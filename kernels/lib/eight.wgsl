// Eight neighbouring values along the summed dimension, the unit in which every product reads.

struct Eight {
  lo: vec4f,
  hi: vec4f,
}

// What holds the weights supplies
//   widen(row, k8) -> Eight                eight weights of a row
//   EIGHTS: u32                            eights of a piece, which a decoding product fetches at once: 1 or 2
//   fetch(row, piece) -> Stored            their bits
//   unpack(stored, piece, part) -> Eight   one of the piece's eights
//   row_scale(row) -> f32                  what a row is multiplied by after it has been summed

// sum + w · x, in an explicit chain of fused multiply-adds: a compiler that is free to contract
// a * b + c need not choose alike in two code paths, and then a row's bits would depend on its company. (Mesa 26's
// driver for AMD takes even an fma apart, and puts these together again in this order, for one row and for many.)
fn dot8(w: Eight, x: Eight, sum: f32) -> f32 {
  var s = fma(w.lo.x, x.lo.x, sum);
  s = fma(w.lo.y, x.lo.y, s);
  s = fma(w.lo.z, x.lo.z, s);
  s = fma(w.lo.w, x.lo.w, s);
  s = fma(w.hi.x, x.hi.x, s);
  s = fma(w.hi.y, x.hi.y, s);
  s = fma(w.hi.z, x.hi.z, s);
  return fma(w.hi.w, x.hi.w, s);
}
