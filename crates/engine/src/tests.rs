//! Tests of all rooms together: every state that a crash can leave, and every fault of a disk. The portable forms of
//! system calls keep no attributes, without which a finished file is not known again: they are tried room by room.

mod faults;
mod states;
