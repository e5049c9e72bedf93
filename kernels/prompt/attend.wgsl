// Attention of a prompt chunk, whose keys and values are in the cache already: one workgroup a row and
// quad of heads walks over the chunks of the past and keeps running sums (online softmax, Milakov and
// Gimelshein 2018).

override STRIDE: u32; // values between two rows of the output

struct Span {
  rows: u32,
  position: u32, // of the first row
}

@group(0) @binding(0) var<storage, read> q: array<vec2f>; // [rows][HEADS][HALF]
@group(0) @binding(1) var<storage, read> cache: array<Pair>; // [CAPACITY + 2 · MAX_ROWS][k, v][KV_HEADS][HALF]
@group(0) @binding(2) var<storage, read_write> attention: array<f32>; // [rows][STRIDE]
@group(0) @binding(3) var<uniform> span: Span;

var<workgroup> sums: array<Values, HALF>;

// How a chunk's sums are put to those before it; nothing is before the first.
var<private> is_first: bool;
var<private> old: vec4f;
var<private> recent: vec4f;

fn put(pair: u32, sum: Values) {
  var all = Values(sum.first * recent, sum.second * recent);
  if (!is_first) {
    all = Values(fma(sums[pair].first, old, all.first), fma(sums[pair].second, old, all.second));
  }
  sums[pair] = all;
}

fn slot_of(position: u32) -> u32 {
  return position % CAPACITY;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quad = workgroup.x;
  let row = workgroup.y;
  let kv_head = head_of(quad, 0u) / (HEADS / KV_HEADS);
  let position = span.position + row;
  let start = window_start(position);
  load_queries(row, quad, thread);
  var peak = vec4f(-3.0e38);
  var mass = vec4f();
  for (var chunk = start / CHUNK * CHUNK; chunk <= position; chunk += CHUNK) {
    let first = max(start, chunk);
    let end = min(position + 1u, chunk + CHUNK);
    let c = score(first, end, kv_head, thread);
    let higher = max(peak, c.peak);
    old = exp(peak - higher);
    recent = exp(c.peak - higher);
    mass = mass * old + c.mass * recent;
    peak = higher;
    is_first = first == start;
    gather(first, end, kv_head, thread);
  }
  for (var i = thread; i < HALF; i += THREADS) {
    let first = sums[i].first / mass;
    let second = sums[i].second / mass;
    for (var member = 0u; member < 4u; member++) {
      if (is_head(quad, member)) {
        let at = row * STRIDE + head_of(quad, member) * 2u * HALF + i;
        attention[at] = first[member];
        attention[at + HALF] = second[member];
      }
    }
  }
}
