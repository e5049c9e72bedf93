// Attention of a pass's rows, one chunk of the past a workgroup, so that a long past is spread over the
// device (the split of Flash-Decoding, Dao et al. 2023). A row sees the committed positions, its own
// ancestors and itself. combine.wgsl puts the chunks together.

override SLOTS: u32; // chunks a row can see at most

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> q: array<vec2f>; // [MAX_ROWS][HEADS][HALF]
@group(0) @binding(2) var<storage, read> cache: array<Pair>; // [CAPACITY + 2 · MAX_ROWS][k, v][KV_HEADS][HALF]
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS][HALF]
@group(0) @binding(4) var<storage, read_write> peaks: array<vec2f>; // [MAX_ROWS][HEADS][SLOTS]: peak, mass

var<private> row: u32;
var<private> slot: u32; // which of the chunks the row sees
var<private> quad: u32; // which four heads

fn slot_of(position: u32) -> u32 {
  if (position < rows.base) {
    return position % CAPACITY;
  }
  var ancestor = row;
  for (var depth = rows.depth[row]; depth > position - rows.base; depth--) {
    ancestor = rows.parent[ancestor];
  }
  return fresh_slot(rows.half, ancestor);
}

fn put(pair: u32, sum: Values) {
  for (var member = 0u; member < 4u; member++) {
    if (is_head(quad, member)) {
      let at = (row * HEADS + head_of(quad, member)) * SLOTS + slot;
      sums[at * HALF + pair] = vec2f(sum.first[member], sum.second[member]);
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  slot = workgroup.x;
  quad = workgroup.y;
  let kv_head = head_of(quad, 0u) / (HEADS / KV_HEADS);
  for (row = workgroup.z; row < rows.count; row += workgroups.z) {
    let position = rows.base + rows.depth[row];
    let start = window_start(position);
    let chunk = start / CHUNK + slot;
    let first = max(start, chunk * CHUNK);
    let end = min(position + 1u, chunk * CHUNK + CHUNK);
    if (first < end) {
      load_queries(row, quad, thread);
      let c = score(first, end, kv_head, thread);
      gather(first, end, kv_head, thread);
      if (thread < 4u && is_head(quad, thread)) {
        peaks[(row * HEADS + head_of(quad, thread)) * SLOTS + slot] = vec2f(c.peak[thread], c.mass[thread]);
      }
    }
  }
}
