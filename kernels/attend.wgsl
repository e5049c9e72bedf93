// Attention of a pass's rows, one chunk of the past a workgroup, so that a long past is spread over the
// device (the split of Flash-Decoding, Dao et al. 2023). A row sees the committed positions, its own
// ancestors and itself. combine.wgsl puts the chunks together.

override SLOTS: u32; // chunks a row can see at most

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> q: array<vec2f>; // [MAX_ROWS][HEADS][HALF]
@group(0) @binding(2) var<storage, read> cache: array<Cached>; // pairs: [CAPACITY + 2 · MAX_ROWS][k, v][KV_HEADS][HALF]
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS][HALF]
@group(0) @binding(4) var<storage, read_write> peaks: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS]: peak, mass

// The fresh slots of a query's row and its ancestors, by their depths.
var<workgroup> path: array<array<u32, MAX_ROWS>, 8>;

var<private> chunk: u32;
var<private> first_query: u32;
var<private> query_count: u32;

fn position_of(row: u32) -> u32 {
  return rows.base + rows.depth[row];
}

const HAS_FRESH = true;

fn fresh_from() -> u32 {
  return rows.base;
}

fn fresh_slot_of(query: u32, position: u32) -> u32 {
  return path[query][min(position - rows.base, MAX_ROWS - 1u)];
}

// Fills the path of one query. Depths past its own, which it does not see, are left as they are.
fn trace(query: u32) {
  let row = min(first_query + query, query_count - 1u) / (HEADS / KV_HEADS);
  var ancestor = row;
  var depth = rows.depth[row];
  path[query][depth] = fresh_slot(rows.half, row);
  while (depth > 0u) {
    depth--;
    ancestor = rows.parent[ancestor];
    path[query][depth] = fresh_slot(rows.half, ancestor);
  }
}

// Where a query's result of this chunk goes.
fn slot_at(row: u32, head: u32, first: u32) -> u32 {
  return (row * HEADS + head) * SLOTS + chunk - first / CHUNK;
}

// Which members of a quad are queries of their own and see something of the chunk.
fn wanted_of(quad: u32) -> vec4<bool> {
  let queries = quads_at_work[quad];
  let query = vec4u(first_query + 4u * quad) + vec4u(0u, 1u, 2u, 3u);
  let has_some = (queries.first < vec4u((chunk + 1u) * CHUNK)) & (queries.end > vec4u(chunk * CHUNK));
  return (query < vec4u(query_count)) & has_some;
}

// The members are spelled out: a loop over a vector's components keeps it in memory on GPUs.

fn put(quad: u32, pair: u32, sum: Values) {
  let wanted = wanted_of(quad);
  let q = quads_at_work[quad];
  if (wanted.x) { sums[slot_at(q.row.x, q.head.x, q.first.x) * HALF + pair] = vec2f(sum.first.x, sum.second.x); }
  if (wanted.y) { sums[slot_at(q.row.y, q.head.y, q.first.y) * HALF + pair] = vec2f(sum.first.y, sum.second.y); }
  if (wanted.z) { sums[slot_at(q.row.z, q.head.z, q.first.z) * HALF + pair] = vec2f(sum.first.z, sum.second.z); }
  if (wanted.w) { sums[slot_at(q.row.w, q.head.w, q.first.w) * HALF + pair] = vec2f(sum.first.w, sum.second.w); }
}

fn put_peaks(quad: u32, peak: vec4f, mass: vec4f) {
  let wanted = wanted_of(quad);
  let q = quads_at_work[quad];
  if (wanted.x) { peaks[slot_at(q.row.x, q.head.x, q.first.x)] = vec2f(peak.x, mass.x); }
  if (wanted.y) { peaks[slot_at(q.row.y, q.head.y, q.first.y)] = vec2f(peak.y, mass.y); }
  if (wanted.z) { peaks[slot_at(q.row.z, q.head.z, q.first.z)] = vec2f(peak.z, mass.z); }
  if (wanted.w) { peaks[slot_at(q.row.w, q.head.w, q.first.w)] = vec2f(peak.w, mass.w); }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  kv_head = workgroup.x;
  let count = rows.count * (HEADS / KV_HEADS);
  query_count = count;
  for (var first = workgroup.z * 4u * QUADS; first < count; first += workgroups.z * 4u * QUADS) {
    first_query = first;
    let quads = select(1u, QUADS, first + 4u < count);
    let sight = load_queries(first, count, quads, thread);
    for (var query = thread; query < 4u * quads; query += THREADS) {
      trace(query);
    }
    workgroupBarrier();
    for (var c = sight.first / CHUNK + workgroup.y; c * CHUNK < sight.end; c += workgroups.y) {
      chunk = c;
      let scores = score(c, sight, quads, thread);
      gather(c, sight, quads, thread);
      if (thread == 0u) {
        put_peaks(0u, scores.peak[0], scores.mass[0]);
        if (has_both(quads)) {
          put_peaks(1u, scores.peak[1], scores.mass[1]);
        }
      }
    }
  }
}
