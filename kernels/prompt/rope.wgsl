// Rotates the queries and keys of a prompt chunk by their positions, and writes keys and values to the cache.

override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;   // head_dim / 2
override STRIDE: u32; // values between two rows of qkv

struct Span {
  rows: u32,
  position: u32, // of the first row
}

@group(0) @binding(0) var<storage, read> qkv: array<f32>; // [rows][STRIDE]: heads of q, k, v, each [2][HALF]
@group(0) @binding(1) var<storage, read> rope: array<vec2f>; // [position][HALF]: cos, sin
@group(0) @binding(2) var<storage, read_write> q: array<vec2f>; // [rows][HEADS][HALF]
@group(0) @binding(3) var<storage, read_write> cache: array<Pair>; // [CAPACITY + 2 · MAX_ROWS][k, v][KV_HEADS][HALF]
@group(0) @binding(4) var<uniform> span: Span;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let row = thread.y;
  let head = thread.x / HALF;
  let i = thread.x % HALF;
  if (head >= HEADS + 2u * KV_HEADS) {
    return;
  }
  let at = row * STRIDE + head * 2u * HALF + i;
  let v = vec2f(qkv[at], qkv[at + HALF]);
  let position = span.position + row;
  let rotated = rotate(v, rope[position * HALF + i]);
  if (head < HEADS) {
    q[(row * HEADS + head) * HALF + i] = rotated * growth(position);
  } else {
    let kept = select(v, rotated, head < HEADS + KV_HEADS);
    cache[(position % CAPACITY * 2u * KV_HEADS + head - HEADS) * HALF + i] = pack_pair(kept);
  }
}
