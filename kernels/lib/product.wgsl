// The product of a weight matrix with the few rows of a decoding pass, the core of every decode stage:
//
//   y[row][n] = Σ_k weights[n][k] · x[row][k]
//
// LANES lanes split k among them, a piece at a time (an eight, or a sixteen of weights in few bits or F8), and share four
// outputs (a quad). A lane holds an eight of weights in registers and meets it with ROWS_TOGETHER rows at most, or with one
// when only one is left; further rows read the weights again, from cache if it holds what all lanes are at.
// product_vector.wgsl takes its place where subgroups are a CPU's vector registers.
//
// A GPU waits long for memory, and has few lanes to wait side by side where outputs are few. So a lane asks for
// more than it needs at once: of one row, for PIECES_TOGETHER pieces; of several, whose multiply-adds take long, for
// the next piece while it multiplies this one.
//
// The order of a row's sum is: its lane's pieces in rising k, then the lanes. It knows nothing of how
// many rows there are, which is what makes lookup lossless to the bit.
//
// A row of x comes in planes (planes.wgsl), in which neighbouring lanes read neighbouring 16 bytes. Were a piece in one
// place, a load would touch twice the lines of L1 that it needs, or four times, and x is most of what a pass of many rows
// takes from there.
//
// What becomes of the sums stands in one place, whatever the number of rows. WGSL lets a compiler contract, split and
// regroup sums of products, even an fma (Mesa 26's driver for AMD does), and it need not treat two copies alike. It is
// no barrier that brings them there: with one, llvmpipe needs 1.3 to 1.5 times the time.
//
// A stage supplies
//   weight_rows(quad) -> vec4u              the weight rows of a quad, in range even where the quad is past the end
//   row_factors(row, count, lane, index) -> vec4f  what multiplies the sums of up to four rows from `row` on, such as a norm;
//                                           called by all lanes
//   finish(row, quad, sums, scales)         what becomes of the sums, not yet times scales; called by one lane a row

override K8: u32;      // summed dimension / 8, rounded up; padding is zero on both sides
override LANES: u32;   // lanes that share a quad: a subgroup, or the smallest there may be, or 8 without subgroups
override GROUPS: u32;  // quads a workgroup works on side by side
override ROWS_TOGETHER: u32;   // 4, 8 or 16: rows that meet the weights in registers
override PIECES_TOGETHER: u32; // 1, 2 or 4: pieces that a lane asks for before it needs the first

@group(0) @binding(1) var<storage, read> rows: Rows;
@group(0) @binding(2) var<storage, read> x: array<vec4f>; // [MAX_ROWS][planes: 2 · EIGHTS][plane_width()]

// Adds an eight: part `part` of piece `k`.
fn add(sums: vec4f, row: u32, k: u32, part: u32, w: Weights) -> vec4f {
  let i = (row * 2u * EIGHTS + 2u * part) * plane_width() + k;
  let v = Eight(x[i], x[i + plane_width()]);
  return vec4f(dot8(w.a, v, sums.x), dot8(w.b, v, sums.y), dot8(w.c, v, sums.z), dot8(w.d, v, sums.w));
}

fn add_four(sums: Four, row: u32, k: u32, part: u32, w: Weights) -> Four {
  return Four(
    add(sums.a, row, k, part, w),
    add(sums.b, row + 1u, k, part, w),
    add(sums.c, row + 2u, k, part, w),
    add(sums.d, row + 3u, k, part, w),
  );
}

// Adds up what the lanes have of four rows; lane i gets row i's. So a Four of these holds sums of sixteen rows: lane i has
// those of rows i, 4 + i, 8 + i and 12 + i.
fn by_lane(sums: Four, lane: u32, index: u32) -> vec4f {
  let a = sum_lanes(sums.a, index);
  let b = sum_lanes(sums.b, index);
  let c = sum_lanes(sums.c, index);
  let d = sum_lanes(sums.d, index);
  var mine = a;
  if (lane == 1u) { mine = b; }
  if (lane == 2u) { mine = c; }
  if (lane == 3u) { mine = d; }
  return mine;
}

fn multiply(workgroup: u32, index: u32) {
  let lane = index % LANES;
  let quad = workgroup * GROUPS + index / LANES;
  let n = weight_rows(quad);
  let scales = vec4f(row_scale(n.x), row_scale(n.y), row_scale(n.z), row_scale(n.w));
  var row = 0u;
  while (row < rows.count) {
    let missing = rows.count - row;
    var together = 4u;
    var sums = Four();
    if (missing == 1u) {
      together = 1u;
      sums.a = one(row, n, lane, index);
    } else if (ROWS_TOGETHER >= 16u && missing > 8u) {
      together = 16u;
      sums = sixteen(row, n, lane, index);
    } else if (ROWS_TOGETHER >= 8u && missing > 4u) {
      together = 8u;
      sums = eight(row, n, lane, index);
    } else {
      sums.a = four(row, n, lane, index);
    }
    for (var first = 0u; first < min(together, missing); first += 4u) {
      var mine = sums.a;
      if (ROWS_TOGETHER >= 8u && first == 4u) { mine = sums.b; }
      if (ROWS_TOGETHER >= 16u && first == 8u) { mine = sums.c; }
      if (ROWS_TOGETHER >= 16u && first == 12u) { mine = sums.d; }
      finish_four(row + first, quad, mine, scales, lane, index);
    }
    row += together;
  }
}

// One lane a row finishes it, so that the tails of four rows run side by side.
fn finish_four(row: u32, quad: u32, sums: vec4f, scales: vec4f, lane: u32, index: u32) {
  let count = min(4u, rows.count - row);
  let factors = row_factors(row, count, lane, index);
  if (lane < count) {
    finish(row + lane, quad, sums, member(factors, lane) * scales);
  }
}

// Adds a piece to one row's sums.
fn add_piece(sums: vec4f, row: u32, k: u32, fetched: Fetched) -> vec4f {
  let first = add(sums, row, k, 0u, unpack_quad(fetched, k, 0u));
  if (EIGHTS == 1u) {
    return first;
  }
  return add(first, row, k, 1u, unpack_quad(fetched, k, 1u));
}

fn one(row: u32, n: vec4u, lane: u32, index: u32) -> vec4f {
  var sums = vec4f();
  var k = lane;
  if (PIECES_TOGETHER == 4u) {
    for (; k + 3u * LANES < pieces(); k += 4u * LANES) {
      let w0 = fetch_quad(n, k);
      let w1 = fetch_quad(n, k + LANES);
      let w2 = fetch_quad(n, k + 2u * LANES);
      let w3 = fetch_quad(n, k + 3u * LANES);
      sums = add_piece(sums, row, k, w0);
      sums = add_piece(sums, row, k + LANES, w1);
      sums = add_piece(sums, row, k + 2u * LANES, w2);
      sums = add_piece(sums, row, k + 3u * LANES, w3);
    }
  }
  if (PIECES_TOGETHER == 2u) {
    for (; k + LANES < pieces(); k += 2u * LANES) {
      let w0 = fetch_quad(n, k);
      let w1 = fetch_quad(n, k + LANES);
      sums = add_piece(sums, row, k, w0);
      sums = add_piece(sums, row, k + LANES, w1);
    }
  }
  for (; k < pieces(); k += LANES) {
    sums = add_piece(sums, row, k, fetch_quad(n, k));
  }
  return sum_lanes(sums, index);
}

// The first piece that a lane needs, or something to throw away, and the one after k.
fn fetch_first(n: vec4u, lane: u32) -> Fetched {
  if (PIECES_TOGETHER == 1u) {
    return Fetched();
  }
  return fetch_quad(n, min(lane, pieces() - 1u));
}

fn fetch_next(n: vec4u, k: u32) -> Fetched {
  if (PIECES_TOGETHER == 1u) {
    return Fetched();
  }
  return fetch_quad(n, min(k + LANES, pieces() - 1u));
}

fn fetched_or_now(fetched: Fetched, n: vec4u, k: u32) -> Fetched {
  if (PIECES_TOGETHER == 1u) {
    return fetch_quad(n, k);
  }
  return fetched;
}

fn four(row: u32, n: vec4u, lane: u32, index: u32) -> vec4f {
  var a = Four();
  var next = fetch_first(n, lane);
  for (var k = lane; k < pieces(); k += LANES) {
    let now = fetched_or_now(next, n, k);
    next = fetch_next(n, k);
    let w = unpack_quad(now, k, 0u);
    a = add_four(a, row, k, 0u, w);
    if (EIGHTS == 2u) {
      let w = unpack_quad(now, k, 1u);
      a = add_four(a, row, k, 1u, w);
    }
  }
  return by_lane(a, lane, index);
}

fn eight(row: u32, n: vec4u, lane: u32, index: u32) -> Four {
  var a = Four();
  var b = Four();
  var next = fetch_first(n, lane);
  for (var k = lane; k < pieces(); k += LANES) {
    let now = fetched_or_now(next, n, k);
    next = fetch_next(n, k);
    let w = unpack_quad(now, k, 0u);
    a = add_four(a, row, k, 0u, w);
    b = add_four(b, row + 4u, k, 0u, w);
    if (EIGHTS == 2u) {
      let w = unpack_quad(now, k, 1u);
      a = add_four(a, row, k, 1u, w);
      b = add_four(b, row + 4u, k, 1u, w);
    }
  }
  return Four(by_lane(a, lane, index), by_lane(b, lane, index), vec4f(), vec4f());
}

fn sixteen(row: u32, n: vec4u, lane: u32, index: u32) -> Four {
  var a = Four();
  var b = Four();
  var c = Four();
  var d = Four();
  var next = fetch_first(n, lane);
  for (var k = lane; k < pieces(); k += LANES) {
    let now = fetched_or_now(next, n, k);
    next = fetch_next(n, k);
    let w = unpack_quad(now, k, 0u);
    a = add_four(a, row, k, 0u, w);
    b = add_four(b, row + 4u, k, 0u, w);
    c = add_four(c, row + 8u, k, 0u, w);
    d = add_four(d, row + 12u, k, 0u, w);
    if (EIGHTS == 2u) {
      let w = unpack_quad(now, k, 1u);
      a = add_four(a, row, k, 1u, w);
      b = add_four(b, row + 4u, k, 1u, w);
      c = add_four(c, row + 8u, k, 1u, w);
      d = add_four(d, row + 12u, k, 1u, w);
    }
  }
  return Four(by_lane(a, lane, index), by_lane(b, lane, index), by_lane(c, lane, index), by_lane(d, lane, index));
}
