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

fn better(a: Best, b: Best) -> bool {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

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

fn choose(row: u32, slice: u32, slices: u32, thread: u32) {
  let end = min(VOCAB, (slice + 1u) * SLICE);
  var mine = Best(LOWEST, min(slice * SLICE + thread, end - 1u));
  for (var token = slice * SLICE + thread; token < end; token += THREADS) {
    let other = Best(logits[row * VOCAB + token], token);
    if (better(other, mine)) {
      mine = other;
    }
  }
  found[thread] = mine;
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride && better(found[thread + stride], found[thread])) {
      found[thread] = found[thread + stride];
    }
  }
  if (thread == 0u) {
    best[row * slices + slice] = found[0];
  }
  workgroupBarrier();
}
