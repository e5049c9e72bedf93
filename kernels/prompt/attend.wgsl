// Attention of a prompt chunk, whose keys and values are in the cache already: a workgroup has up to eight queries
// of neighbouring rows, walks over the chunks of the past and keeps running sums (online softmax, Milakov and
// Gimelshein 2018).

override STRIDE: u32; // values between two rows of the output

struct Span {
  rows: u32,
  position: u32, // of the first row
}

@group(0) @binding(0) var<storage, read> q: array<vec2f>; // [rows][HEADS][HALF]
@group(0) @binding(1) var<storage, read> cache: array<Cached>; // pairs: [CAPACITY + 2 · MAX_ROWS][k, v][KV_HEADS][HALF]
@group(0) @binding(2) var<storage, read_write> attention: array<f32>; // [rows][STRIDE]
@group(0) @binding(3) var<uniform> span: Span;

override SUMS: u32; // QUADS · HALF
var<workgroup> sums: array<Values, SUMS>; // [quad][HALF]

// How a chunk's sums are put to those before it.
struct Join {
  old: vec4f,    // what the sums before are multiplied by
  recent: vec4f, // what the chunk's are
  is_seen: vec4<bool>, // a query that sees nothing of the chunk keeps what it has
}

var<private> join0: Join;
var<private> join1: Join;

fn position_of(row: u32) -> u32 {
  return span.position + row;
}

const HAS_FRESH = false;

fn fresh_from() -> u32 {
  return 0u;
}

fn fresh_slot_of(query: u32, position: u32) -> u32 {
  return 0u;
}

fn put(quad: u32, pair: u32, sum: Values) {
  let at = quad * HALF + pair;
  var join = join0;
  if (quad == 1u) {
    join = join1;
  }
  let before = sums[at];
  sums[at] = Values(
    select(before.first, fma(before.first, join.old, sum.first * join.recent), join.is_seen),
    select(before.second, fma(before.second, join.old, sum.second * join.recent), join.is_seen),
  );
}

// Peak and mass of a quad's queries so far.
struct Run {
  peak: vec4f,
  mass: vec4f,
}

fn joined(run: Run, peak: vec4f) -> Join {
  let higher = max(run.peak, peak);
  return Join(exp(run.peak - higher), exp(peak - higher), peak > vec4f(UNSEEN));
}

fn advanced(run: Run, join: Join, peak: vec4f, mass: vec4f) -> Run {
  return Run(
    max(run.peak, peak),
    select(run.mass, fma(run.mass, join.old, mass * join.recent), join.is_seen),
  );
}

fn store_pair(at: u32, first: f32, second: f32) {
  attention[at] = first;
  attention[at + HALF] = second;
}

fn store(quad: u32, first: u32, count: u32, mass: vec4f, thread: u32) {
  let queries = quads_at_work[quad];
  for (var i = thread; i < HALF; i += THREADS) {
    let sum = sums[quad * HALF + i];
    let at = queries.row * STRIDE + queries.head * 2u * HALF + i;
    let query = first + 4u * quad;
    let values = Values(sum.first / mass, sum.second / mass);
    if (query < count) { store_pair(at.x, values.first.x, values.second.x); }
    if (query + 1u < count) { store_pair(at.y, values.first.y, values.second.y); }
    if (query + 2u < count) { store_pair(at.z, values.first.z, values.second.z); }
    if (query + 3u < count) { store_pair(at.w, values.first.w, values.second.w); }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  kv_head = workgroup.x;
  let first = workgroup.y * 4u * QUADS;
  let count = span.rows * (HEADS / KV_HEADS);
  let sight = load_queries(first, count, QUADS, thread);
  var run0 = Run(vec4f(UNSEEN), vec4f());
  var run1 = run0;
  for (var chunk = sight.first / CHUNK; chunk * CHUNK < sight.end; chunk++) {
    let c = score(chunk, sight, QUADS, thread);
    join0 = joined(run0, c.peak[0]);
    run0 = advanced(run0, join0, c.peak[0], c.mass[0]);
    if (QUADS == 2u) {
      join1 = joined(run1, c.peak[1]);
      run1 = advanced(run1, join1, c.peak[1], c.mass[1]);
    }
    gather(chunk, sight, QUADS, thread);
  }
  store(0u, first, count, run0.mass, thread);
  if (QUADS == 2u) {
    store(1u, first, count, run1.mass, thread);
  }
}
