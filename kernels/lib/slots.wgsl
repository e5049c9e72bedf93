// The cache of one layer holds a ring of CAPACITY slots for committed positions, then two times MAX_ROWS
// fresh slots: the rows of the pass at work and the rows of the pass before, some of which are being
// committed to the ring.

override CAPACITY: u32; // position p lives in slot p mod CAPACITY

fn fresh_slot(half: u32, row: u32) -> u32 {
  return CAPACITY + half * MAX_ROWS + row;
}
