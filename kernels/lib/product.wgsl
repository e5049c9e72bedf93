// The product of a weight matrix with the few rows of a decoding pass, the core of every decode stage:
//
//   y[row][n] = Σ_k weights[n][k] · prepare(x[row])[k]      and Σ_k x[row][k]² beside it
//
// LANES lanes split k among them, eight values at a time, and share four outputs (a quad). A lane holds
// its weights in registers and meets them with four rows, or eight where ROWS_TOGETHER says so, or with one
// when only one is left; further rows read the weights again, from cache. Four times four accumulators are
// what software drivers keep in registers too (lavapipe, 4096 × 4096 bf16: 4 rows cost 1.6 times one, 8 rows 2.8).
//
// The order of a row's sum is: its lane's eights in rising k, then the lanes. It knows nothing of how
// many rows there are, which is what makes lookup lossless to the bit.
//
// A stage supplies
//   prepare(x, k8) -> Eight          what becomes of x before it meets the weights (a norm's gain, or nothing)
//   weight_rows(quad) -> vec4u       the weight rows of a quad, in range even where the quad is past the end
//   finish(row, quad, sums)          what becomes of the sums; called by one lane a row

override K8: u32;      // summed dimension / 8, rounded up; padding is zero on both sides
override LANES: u32;   // lanes that share a quad: the subgroup's size where there are subgroups
override GROUPS: u32;  // quads a workgroup works on side by side
override ROWS_TOGETHER: u32; // 4, or 8: rows that meet the weights in registers

@group(0) @binding(1) var<storage, read> rows: Rows;
@group(0) @binding(2) var<storage, read> x: array<vec4f>; // [MAX_ROWS][2 · K8]

struct Sums {
  y: vec4f,     // the quad's four outputs
  squares: f32, // Σ x²
}

fn add(sums: Sums, row: u32, k8: u32, w0: Eight, w1: Eight, w2: Eight, w3: Eight) -> Sums {
  let i = (row * K8 + k8) * 2u;
  let raw = Eight(x[i], x[i + 1u]);
  let v = prepare(raw, k8);
  return Sums(
    vec4f(dot8(w0, v, sums.y.x), dot8(w1, v, sums.y.y), dot8(w2, v, sums.y.z), dot8(w3, v, sums.y.w)),
    dot8(raw, raw, sums.squares),
  );
}

fn total(sums: Sums, scales: vec4f, index: u32) -> Sums {
  return Sums(scales * sum_lanes(sums.y, index), sum_lanes(vec4f(sums.squares), index).x);
}

fn multiply(workgroup: u32, index: u32) {
  let lane = index % LANES;
  let quad = workgroup * GROUPS + index / LANES;
  let n = weight_rows(quad);
  let scales = vec4f(row_scale(n.x), row_scale(n.y), row_scale(n.z), row_scale(n.w));
  var row = 0u;
  while (row < rows.count) {
    let left = rows.count - row;
    if (left == 1u) {
      one(row, quad, n, scales, lane, index);
      row += 1u;
    } else if (ROWS_TOGETHER == 8u && left > 4u) {
      eight(row, quad, n, scales, lane, index);
      row += 8u;
    } else {
      four(row, quad, n, scales, lane, index);
      row += 4u;
    }
  }
}

fn one(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var s0 = Sums();
  for (var k = lane; k < K8; k += LANES) {
    s0 = add(s0, row, k, widen(n.x, k), widen(n.y, k), widen(n.z, k), widen(n.w, k));
  }
  s0 = total(s0, scales, index);
  if (lane == 0u) {
    finish(row, quad, s0);
  }
}

fn four(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  for (var k = lane; k < K8; k += LANES) {
    let w0 = widen(n.x, k);
    let w1 = widen(n.y, k);
    let w2 = widen(n.z, k);
    let w3 = widen(n.w, k);
    s0 = add(s0, row, k, w0, w1, w2, w3);
    s1 = add(s1, row + 1u, k, w0, w1, w2, w3);
    s2 = add(s2, row + 2u, k, w0, w1, w2, w3);
    s3 = add(s3, row + 3u, k, w0, w1, w2, w3);
  }
  s0 = total(s0, scales, index);
  s1 = total(s1, scales, index);
  s2 = total(s2, scales, index);
  s3 = total(s3, scales, index);
  // One lane a row finishes it, so that the tails of four rows run side by side.
  if (lane < 4u && row + lane < rows.count) {
    var mine = s0;
    if (lane == 1u) { mine = s1; }
    if (lane == 2u) { mine = s2; }
    if (lane == 3u) { mine = s3; }
    finish(row + lane, quad, mine);
  }
}

fn eight(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var s0 = Sums();
  var s1 = Sums();
  var s2 = Sums();
  var s3 = Sums();
  var s4 = Sums();
  var s5 = Sums();
  var s6 = Sums();
  var s7 = Sums();
  for (var k = lane; k < K8; k += LANES) {
    let w0 = widen(n.x, k);
    let w1 = widen(n.y, k);
    let w2 = widen(n.z, k);
    let w3 = widen(n.w, k);
    s0 = add(s0, row, k, w0, w1, w2, w3);
    s1 = add(s1, row + 1u, k, w0, w1, w2, w3);
    s2 = add(s2, row + 2u, k, w0, w1, w2, w3);
    s3 = add(s3, row + 3u, k, w0, w1, w2, w3);
    s4 = add(s4, row + 4u, k, w0, w1, w2, w3);
    s5 = add(s5, row + 5u, k, w0, w1, w2, w3);
    s6 = add(s6, row + 6u, k, w0, w1, w2, w3);
    s7 = add(s7, row + 7u, k, w0, w1, w2, w3);
  }
  s0 = total(s0, scales, index);
  s1 = total(s1, scales, index);
  s2 = total(s2, scales, index);
  s3 = total(s3, scales, index);
  s4 = total(s4, scales, index);
  s5 = total(s5, scales, index);
  s6 = total(s6, scales, index);
  s7 = total(s7, scales, index);
  for (var i = lane; i < min(8u, rows.count - row); i += LANES) {
    var mine = s0;
    if (i == 1u) { mine = s1; }
    if (i == 2u) { mine = s2; }
    if (i == 3u) { mine = s3; }
    if (i == 4u) { mine = s4; }
    if (i == 5u) { mine = s5; }
    if (i == 6u) { mine = s6; }
    if (i == 7u) { mine = s7; }
    finish(row + i, quad, mine);
  }
}
