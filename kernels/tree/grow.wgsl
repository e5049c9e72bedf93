// Drafting a tree, second half: candidates that go on with the same tokens vote for the same draft; the tree
// grows by the likeliest draft at a time and is cut where tokens per cost are best. Specified by grow() and
// worthwhile() in decode/tree.ts.
//
// A thread is a candidate. The candidates that propose a leaf, a draft whose parent is in the tree though it
// is not, are its voters; the best of them (the lowest thread) leads, and keeps what there is to know of it.

@group(0) @binding(0) var<storage, read> state: State;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [context]
@group(0) @binding(2) var<storage, read_write> rows: Rows;
@group(0) @binding(3) var<storage, read_write> sources: array<Source>; // [MAX_ROWS], of the drafts
@group(0) @binding(4) var<storage, read_write> memory: Memory;
@group(0) @binding(5) var<storage, read> candidates: Candidates;
@group(0) @binding(6) var<storage, read> options: TreeOptions;

const NONE = 0xffffffffu;

var<workgroup> next_token: array<u32, CANDIDATES>;
var<workgroup> weight: array<u32, CANDIDATES>; // of a vote
var<workgroup> leader: array<u32, CANDIDATES>; // of the leaf a candidate votes for, or NONE
var<workgroup> reach: array<u32, CANDIDATES>;  // a leaf's probability with its ancestors', in 65536ths
var<workgroup> depth: array<u32, CANDIDATES>;
var<workgroup> likeliest: atomic<u32>; // the rank of the likeliest leaf; 0 is none
var<workgroup> chosen: u32;

@compute @workgroup_size(CANDIDATES)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (state.stop != RUNNING) {
    if (thread == 0u) {
      plan_nothing();
    }
    return;
  }
  let length = state.length;
  let key = candidates.key[thread];
  let place = key & ((1u << PLACE_BITS) - 1u);
  let is_near = ((key >> PLACE_BITS) & 1u) == 1u;
  let resumed = (key >> (PLACE_BITS + 1u)) & 3u;
  let agreement = key >> (PLACE_BITS + 3u);
  // A pass yields one token more than it accepts, so drafts deeper than this would be in vain.
  let depth_limit = state.limit - length - 1u;
  weight[thread] = options.weights[min(agreement, 6u)];
  leader[thread] = NONE;

  var parent = 0u;
  var parent_depth = 0u;
  var parent_reach = 65535u;
  var is_voter = thread < candidates.count;
  var mine = Grown(); // the leaf this thread leads
  // Thread 0 keeps the best cut so far.
  var sum = 0u;
  var best = vec2u(options.around_tokens + 1024u, options.around_cost + options.row_costs[0]);
  var best_count = 0u;
  var count = 0u;
  loop {
    // The voters of the draft just added, or at first all, split by what they propose below it.
    let is_alive = is_voter && parent_depth < depth_limit && place + parent_depth < length;
    workgroupBarrier();
    if (is_voter) {
      leader[thread] = NONE;
    }
    if (is_alive) {
      next_token[thread] = tokens[place + parent_depth];
      leader[thread] = CANDIDATES; // to be found
    }
    workgroupBarrier();
    var first = NONE;
    var votes = 0u;
    var voted = 0u;
    var all = 0u;
    if (is_alive) {
      for (var other = 0u; other < candidates.count; other++) {
        if (leader[other] == CANDIDATES) {
          all += weight[other];
          if (next_token[other] == next_token[thread]) {
            first = min(first, other);
            votes++;
            voted += weight[other];
          }
        }
      }
    }
    workgroupBarrier();
    if (is_alive) {
      leader[thread] = first;
      if (first == thread) {
        let share = (voted << 10u) / all;
        mine.token = next_token[thread];
        mine.parent = parent;
        mine.source = place + parent_depth;
        mine.kind = kind_of(agreement + parent_depth, share);
        mine.probability = estimate(agreement + parent_depth, resumed, is_near, share, votes, length - place, mine.kind);
        reach[thread] = (parent_reach * u32(mine.probability)) >> 16u;
        depth[thread] = parent_depth + 1u;
      }
    }
    if (thread == 0u) {
      atomicStore(&likeliest, 0u);
    }
    workgroupBarrier();
    if (count < options.num_draft && leader[thread] == thread && reach[thread] >= options.least_reach) {
      atomicMax(&likeliest, rank(thread));
    }
    workgroupBarrier();
    if (thread == 0u) {
      chosen = atomicLoad(&likeliest);
    }
    let highest = workgroupUniformLoad(&chosen);
    if (highest == 0u) {
      break;
    }
    let next = CANDIDATES - 1u - (highest & 255u);
    count++;
    parent = count;
    parent_depth = depth[next];
    parent_reach = reach[next];
    is_voter = leader[thread] == next;
    if (thread == next) {
      memory.grown[count - 1u] = mine;
      rows.token[count] = mine.token;
      rows.parent[count] = mine.parent;
      rows.depth[count] = parent_depth;
      sources[count] = Source(place, agreement);
    }
    if (thread == 0u) {
      sum += parent_reach;
      let worth = vec2u(options.around_tokens + 1024u + (sum >> 6u), options.around_cost + options.row_costs[count]);
      if (worth.x * best.y >= best.x * worth.y) {
        best = worth;
        best_count = count;
      }
    }
  }
  if (thread == 0u) {
    plan(best_count);
    memory.length = length;
    memory.count = count;
  }
}

// Orders leaves: the likeliest highest, of equals the least deep, then that of the best candidate.
fn rank(thread: u32) -> u32 {
  return (reach[thread] << 16u) | ((255u - depth[thread]) << 8u) | (CANDIDATES - 1u - thread);
}

fn kind_of(agreement: u32, share: u32) -> u32 {
  if (agreement == 0u) {
    return 0u;
  }
  return select(2u, 1u, share < 512u);
}

// The probability that a draft is accepted once its parent is, in 65536ths: a logistic model of the evidence.
fn estimate(agreement: u32, resumed: u32, is_near: bool, share: u32, votes: u32, distance: u32, kind: u32) -> i32 {
  var b = vec4u();
  for (var i = 0; i < 9; i++) { b.x += u32(options.agreement_bounds[i] <= agreement); }
  for (var i = 0; i < 10; i++) { b.y += u32(options.share_bounds[i] <= share); }
  for (var i = 0; i < 3; i++) { b.z += u32(options.votes_bounds[i] <= votes); }
  for (var i = 0; i < 3; i++) { b.w += u32(options.distance_bounds[i] <= distance); }
  let some = min(agreement, 1u);
  var logit = options.agreement[b.x] + options.share[some][b.y] + options.votes[some][b.z] +
    options.distance[some][b.w] + options.resumed[resumed][min(agreement, 3u)] + (memory.bias[kind] >> 8u);
  if (is_near) {
    logit += options.near[min(agreement, 3u)];
  }
  let x = clamp(logit + 2048, 0, 4095);
  let low = options.logistic[x >> 7u];
  return low + (((options.logistic[(x >> 7u) + 1] - low) * (x & 127)) >> 7u);
}
