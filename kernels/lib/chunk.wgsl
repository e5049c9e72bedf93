// How attention cuts the past.

const CHUNK = 128u; // positions of a chunk, which begins at a multiple of as many

override WINDOW: u32; // config: sliding_window; a query at p sees keys from p - WINDOW + 1 on

fn window_start(position: u32) -> u32 {
  return select(0u, position + 1u - WINDOW, position >= WINDOW);
}
