//! Tests of all rooms together: every state that a crash can leave, and every fault of a disk.

mod faults;
mod states;
