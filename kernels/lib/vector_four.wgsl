// Subgroups of four lanes: of eight neighbours the upper four are held by the lanes that hold the lower four.

const VECTOR = 4u;
const UPPER = 0u; // the lane that holds the fifth
