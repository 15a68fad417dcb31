//! Tests of all rooms together: every state that a crash can leave.

mod states;
