// The product of a weight matrix with the few rows of a decoding pass, the core of every decode stage:
//
//   y[row][n] = Σ_k weights[n][k] · x[row][k]
//
// LANES lanes split k among them, eight values at a time, and share four outputs (a quad). A lane holds
// its weights in registers and meets them with ROWS_TOGETHER rows at most, or with one when only one is left;
// further rows read the weights again, from cache. Four times four accumulators are what software drivers keep
// in registers too (lavapipe, 4096 × 4096 bf16: 4 rows cost 1.6 times one, 8 rows 2.8).
//
// A GPU waits long for memory, and has few lanes to wait side by side where outputs are few. So a lane asks for
// more than it needs at once: of one row, for EIGHTS_TOGETHER eights; of several, whose multiply-adds take long, for
// the next eight while it multiplies this one.
//
// The order of a row's sum is: its lane's eights in rising k, then the lanes. It knows nothing of how
// many rows there are, which is what makes lookup lossless to the bit.
//
// A row of x comes in halves (halves.wgsl), in which neighbouring lanes read neighbouring 16 bytes. Were an eight in one
// place, a load would touch twice the lines of L1 that it needs, and x is most of what a pass of many rows takes from there.
//
// A stage supplies
//   weight_rows(quad) -> vec4u            the weight rows of a quad, in range even where the quad is past the end
//   row_factor(row, lane, index) -> f32   what a row's sums are multiplied by, such as a norm; called by all lanes
//   row_factors(row, lane, index) -> vec4f    the same for four rows, to the bit
//   finish(row, quad, sums, scales)       what becomes of the sums, which scales are still to multiply; called by one lane a row

override K8: u32;      // summed dimension / 8, rounded up; padding is zero on both sides
override LANES: u32;   // lanes that share a quad: a subgroup, or the smallest there may be, or 8 without subgroups
override GROUPS: u32;  // quads a workgroup works on side by side
override ROWS_TOGETHER: u32;   // 4, 8 or 16: rows that meet the weights in registers
override EIGHTS_TOGETHER: u32; // 1, 2 or 4: eights that a lane asks for before it needs the first

@group(0) @binding(1) var<storage, read> rows: Rows;
@group(0) @binding(2) var<storage, read> x: array<vec4f>; // [MAX_ROWS][lower, upper halves of eights][K8]

// A quad's sums, of four neighbouring rows.
struct Four {
  a: vec4f,
  b: vec4f,
  c: vec4f,
  d: vec4f,
}

// A quad's weights at an eight of k.
struct Fetched {
  a: Stored,
  b: Stored,
  c: Stored,
  d: Stored,
}

struct Weights {
  a: Eight,
  b: Eight,
  c: Eight,
  d: Eight,
}

fn fetch_quad(n: vec4u, k8: u32) -> Fetched {
  return Fetched(fetch(n.x, k8), fetch(n.y, k8), fetch(n.z, k8), fetch(n.w, k8));
}

fn unpack_quad(w: Fetched, k8: u32) -> Weights {
  return Weights(unpack(w.a, k8), unpack(w.b, k8), unpack(w.c, k8), unpack(w.d, k8));
}

fn add(sums: vec4f, row: u32, k8: u32, w: Weights) -> vec4f {
  let i = row * 2u * K8 + k8;
  let v = Eight(x[i], x[i + K8]);
  return vec4f(dot8(w.a, v, sums.x), dot8(w.b, v, sums.y), dot8(w.c, v, sums.z), dot8(w.d, v, sums.w));
}

fn add_four(sums: Four, row: u32, k8: u32, w: Weights) -> Four {
  return Four(
    add(sums.a, row, k8, w),
    add(sums.b, row + 1u, k8, w),
    add(sums.c, row + 2u, k8, w),
    add(sums.d, row + 3u, k8, w),
  );
}

// One lane a row finishes it, so that the tails of four rows run side by side.
fn finish_four(row: u32, quad: u32, sums: Four, scales: vec4f, lane: u32, index: u32) {
  let a = sum_lanes(sums.a, index);
  let b = sum_lanes(sums.b, index);
  let c = sum_lanes(sums.c, index);
  let d = sum_lanes(sums.d, index);
  let factors = row_factors(row, lane, index);
  if (lane < 4u && row + lane < rows.count) {
    var mine = a;
    var factor = factors.x;
    if (lane == 1u) { mine = b; factor = factors.y; }
    if (lane == 2u) { mine = c; factor = factors.z; }
    if (lane == 3u) { mine = d; factor = factors.w; }
    finish(row + lane, quad, mine, factor * scales);
  }
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
    } else if (ROWS_TOGETHER >= 16u && left > 8u) {
      sixteen(row, quad, n, scales, lane, index);
      row += 16u;
    } else if (ROWS_TOGETHER >= 8u && left > 4u) {
      eight(row, quad, n, scales, lane, index);
      row += 8u;
    } else {
      four(row, quad, n, scales, lane, index);
      row += 4u;
    }
  }
}

fn one(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var sums = vec4f();
  var k = lane;
  if (EIGHTS_TOGETHER == 4u) {
    for (; k + 3u * LANES < K8; k += 4u * LANES) {
      let w0 = fetch_quad(n, k);
      let w1 = fetch_quad(n, k + LANES);
      let w2 = fetch_quad(n, k + 2u * LANES);
      let w3 = fetch_quad(n, k + 3u * LANES);
      sums = add(sums, row, k, unpack_quad(w0, k));
      sums = add(sums, row, k + LANES, unpack_quad(w1, k + LANES));
      sums = add(sums, row, k + 2u * LANES, unpack_quad(w2, k + 2u * LANES));
      sums = add(sums, row, k + 3u * LANES, unpack_quad(w3, k + 3u * LANES));
    }
  }
  if (EIGHTS_TOGETHER == 2u) {
    for (; k + LANES < K8; k += 2u * LANES) {
      let w0 = fetch_quad(n, k);
      let w1 = fetch_quad(n, k + LANES);
      sums = add(sums, row, k, unpack_quad(w0, k));
      sums = add(sums, row, k + LANES, unpack_quad(w1, k + LANES));
    }
  }
  for (; k < K8; k += LANES) {
    sums = add(sums, row, k, unpack_quad(fetch_quad(n, k), k));
  }
  sums = sum_lanes(sums, index);
  let factor = row_factor(row, lane, index);
  if (lane == 0u) {
    finish(row, quad, sums, factor * scales);
  }
}

// The first eight that a lane needs, or something to throw away, and the one after k.
fn fetch_first(n: vec4u, lane: u32) -> Fetched {
  if (EIGHTS_TOGETHER == 1u) {
    return Fetched();
  }
  return fetch_quad(n, min(lane, K8 - 1u));
}

fn fetch_next(n: vec4u, k: u32) -> Fetched {
  if (EIGHTS_TOGETHER == 1u) {
    return Fetched();
  }
  return fetch_quad(n, min(k + LANES, K8 - 1u));
}

fn fetched_or_now(fetched: Fetched, n: vec4u, k: u32) -> Weights {
  if (EIGHTS_TOGETHER == 1u) {
    return unpack_quad(fetch_quad(n, k), k);
  }
  return unpack_quad(fetched, k);
}

fn four(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var a = Four();
  var next = fetch_first(n, lane);
  for (var k = lane; k < K8; k += LANES) {
    let w = fetched_or_now(next, n, k);
    next = fetch_next(n, k);
    a = add_four(a, row, k, w);
  }
  finish_four(row, quad, a, scales, lane, index);
}

fn eight(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var a = Four();
  var b = Four();
  var next = fetch_first(n, lane);
  for (var k = lane; k < K8; k += LANES) {
    let w = fetched_or_now(next, n, k);
    next = fetch_next(n, k);
    a = add_four(a, row, k, w);
    b = add_four(b, row + 4u, k, w);
  }
  finish_four(row, quad, a, scales, lane, index);
  finish_four(row + 4u, quad, b, scales, lane, index);
}

fn sixteen(row: u32, quad: u32, n: vec4u, scales: vec4f, lane: u32, index: u32) {
  var a = Four();
  var b = Four();
  var c = Four();
  var d = Four();
  var next = fetch_first(n, lane);
  for (var k = lane; k < K8; k += LANES) {
    let w = fetched_or_now(next, n, k);
    next = fetch_next(n, k);
    a = add_four(a, row, k, w);
    b = add_four(b, row + 4u, k, w);
    c = add_four(c, row + 8u, k, w);
    d = add_four(d, row + 12u, k, w);
  }
  finish_four(row, quad, a, scales, lane, index);
  finish_four(row + 4u, quad, b, scales, lane, index);
  finish_four(row + 8u, quad, c, scales, lane, index);
  finish_four(row + 12u, quad, d, scales, lane, index);
}
