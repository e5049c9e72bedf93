// What product.wgsl computes, where subgroups are a CPU's vector registers (vector_dot.wgsl): a lane makes a quad of outputs
// alone. For a weight and a row that is 1/32 of a load of x, where lanes that share k need 1/4.
//
// Up to eight rows meet the weights in registers. Most of their sums spill, but eight multiply-adds lie between two visits
// of one; with sixteen it does not pay. A row's sum runs over rising k, whatever the number of rows.
//
// On llvmpipe, a quarter of Mistral-7B's widths in bf16, two cores of a Xeon with AVX-512: one row takes 0.7 of
// product.wgsl's time, and four, eight and sixteen rows cost 1.3, 1.9 and 3.6 times one (there 1.9, 3.8 and 7.2).
//
// A stage supplies what it does to product.wgsl; here finish is called by every lane, for its own quad.

override K8: u32;     // summed dimension / 8, rounded up; padding is zero on both sides
override LANES: u32;  // VECTOR
override GROUPS: u32; // subgroups of a workgroup

@group(0) @binding(1) var<storage, read> rows: Rows;
@group(0) @binding(2) var<storage, read> x: array<f32>; // [MAX_ROWS][planes: 2 · EIGHTS][plane_width()][4]

struct Eightfold {
  first: Four,
  last: Four,
}

// Adds an eight: part `part` of piece `k`.
fn add(sums: vec4f, row: u32, k: u32, part: u32, w: Weights, lane: u32) -> vec4f {
  let plane = row * 2u * EIGHTS + 2u * part;
  let lower = x[((plane + lane / 4u) * plane_width() + k) * 4u + lane % 4u];
  var upper = lower;
  if (VECTOR == 4u) {
    upper = x[((plane + 1u) * plane_width() + k) * 4u + lane];
  }
  return dot_lanes(w, lower, upper, sums);
}

fn add_four(sums: Four, row: u32, k: u32, part: u32, w: Weights, lane: u32) -> Four {
  return Four(
    add(sums.a, row, k, part, w, lane),
    add(sums.b, row + 1u, k, part, w, lane),
    add(sums.c, row + 2u, k, part, w, lane),
    add(sums.d, row + 3u, k, part, w, lane),
  );
}

fn one(row: u32, n: vec4u, lane: u32) -> vec4f {
  var sums = vec4f();
  for (var k = 0u; k < pieces(); k++) {
    let fetched = fetch_quad(n, k);
    sums = add(sums, row, k, 0u, unpack_quad(fetched, k, 0u), lane);
    if (EIGHTS == 2u) {
      sums = add(sums, row, k, 1u, unpack_quad(fetched, k, 1u), lane);
    }
  }
  return sums;
}

fn four(row: u32, n: vec4u, lane: u32) -> Four {
  var sums = Four();
  for (var k = 0u; k < pieces(); k++) {
    let fetched = fetch_quad(n, k);
    sums = add_four(sums, row, k, 0u, unpack_quad(fetched, k, 0u), lane);
    if (EIGHTS == 2u) {
      sums = add_four(sums, row, k, 1u, unpack_quad(fetched, k, 1u), lane);
    }
  }
  return sums;
}

fn eight(row: u32, n: vec4u, lane: u32) -> Eightfold {
  var sums = Eightfold();
  for (var k = 0u; k < pieces(); k++) {
    let fetched = fetch_quad(n, k);
    let w = unpack_quad(fetched, k, 0u);
    sums.first = add_four(sums.first, row, k, 0u, w, lane);
    sums.last = add_four(sums.last, row + 4u, k, 0u, w, lane);
    if (EIGHTS == 2u) {
      let w = unpack_quad(fetched, k, 1u);
      sums.first = add_four(sums.first, row, k, 1u, w, lane);
      sums.last = add_four(sums.last, row + 4u, k, 1u, w, lane);
    }
  }
  return sums;
}

fn of_row(sums: Four, i: u32) -> vec4f {
  var mine = sums.a;
  if (i == 1u) { mine = sums.b; }
  if (i == 2u) { mine = sums.c; }
  if (i == 3u) { mine = sums.d; }
  return mine;
}

fn multiply(workgroup: u32, index: u32) {
  let lane = index % LANES;
  let quad = workgroup * LANES * GROUPS + index;
  let n = weight_rows(quad);
  let scales = vec4f(row_scale(n.x), row_scale(n.y), row_scale(n.z), row_scale(n.w));
  var row = 0u;
  while (row < rows.count) {
    let count = min(8u, rows.count - row);
    var sums = Eightfold();
    if (count == 1u) {
      sums.first.a = one(row, n, lane);
    } else if (count <= 4u) {
      sums.first = four(row, n, lane);
    } else {
      sums = eight(row, n, lane);
    }
    var factors = vec4f();
    for (var i = 0u; i < count; i++) {
      if (i % 4u == 0u) {
        factors = row_factors(row + i, min(4u, count - i), lane, index);
      }
      var mine = of_row(sums.first, i);
      if (i >= 4u) { mine = of_row(sums.last, i - 4u); }
      finish(row + i, quad, mine, member(factors, i % 4u) * scales);
    }
    row += count;
  }
}
