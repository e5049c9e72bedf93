// The greedy choice, first half: the largest logit of each slice of the vocabulary, and its token. Of
// equal logits the lowest token wins. accept.wgsl takes the best of the slices. NaN and -∞ never win: a slice
// of nothing else reports LOWEST with its lowest token.

override VOCAB: u32;

const SLICE = 4096u;
const THREADS = 256u;

@group(0) @binding(0) var<storage, read> rows: Rows;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [MAX_ROWS][VOCAB]
@group(0) @binding(2) var<storage, read_write> best: array<Best>; // [MAX_ROWS][slices]

var<workgroup> found: array<Best, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  for (var row = workgroup.y; row < rows.count; row += workgroups.y) {
    choose(row, workgroup.x, workgroups.x, thread);
  }
}

fn best_of(a: Best, b: Best) -> Best {
  if (is_better(b, a)) {
    return b;
  }
  return a;
}

fn choose(row: u32, slice: u32, slices: u32, thread: u32) {
  let end = min(VOCAB, (slice + 1u) * SLICE);
  let all = row * VOCAB;
  var mine = Best(LOWEST, min(slice * SLICE + thread, end - 1u));
  for (var first = slice * SLICE + thread; first < end; first += 4u * THREADS) {
    // Four are asked for before the first is looked at. Past the end stands the last, which is not better than itself.
    let t = min(first + THREADS * vec4u(0u, 1u, 2u, 3u), vec4u(end - 1u));
    let l = vec4f(logits[all + t.x], logits[all + t.y], logits[all + t.z], logits[all + t.w]);
    mine = best_of(mine, Best(l.x, t.x));
    mine = best_of(mine, Best(l.y, t.y));
    mine = best_of(mine, Best(l.z, t.z));
    mine = best_of(mine, Best(l.w, t.w));
  }
  found[thread] = mine;
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      found[thread] = best_of(found[thread], found[thread + stride]);
    }
  }
  if (thread == 0u) {
    best[row * slices + slice] = found[0];
  }
  workgroupBarrier();
}
