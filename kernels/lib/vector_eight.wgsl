// Subgroups of eight lanes: each holds one of eight neighbours.

const VECTOR = 8u;
const UPPER = 4u; // the lane that holds the fifth
