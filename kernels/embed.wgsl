// Row i becomes embedding[token[i]], for the tokens whose embedding lies in this part of the matrix. keep() puts it where
// it belongs: lib/residual.wgsl for a pass, lib/prompt_residual.wgsl for a prompt.

override K8: u32; // hidden size / 8, rounded up

struct Ids {
  count: u32,
  token: array<u32>,
}

struct Part {
  first: u32, // token id of the part's first row
  count: u32,
}

@group(0) @binding(1) var<storage, read> ids: Ids; // token: [count]
@group(0) @binding(2) var<uniform> part: Part;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let i = workgroup.x;
  if (i >= ids.count) {
    return;
  }
  let row = ids.token[i] - part.first; // wraps to a huge number below the part
  if (row >= part.count) {
    return;
  }
  let s = row_scale(row);
  for (var k = index; k < K8; k += 64u) {
    let v = widen(row, k);
    keep(i, 2u * k, s * v.lo);
    keep(i, 2u * k + 1u, s * v.hi);
  }
}
