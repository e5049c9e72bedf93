// Where a generation stands. Kept in step with STOPS and initialState() in decode/state.ts.

const RUNNING = 0u;
const STOP_EOS = 1u;
const STOP_LENGTH = 2u;
const STOP_NAN = 3u;

struct State {
  length: u32, // tokens so far, prompt included
  limit: u32,  // length at which to stop
  stop: u32,   // RUNNING or a STOP
  step: u32,   // steps so far, those after the stop included
}
