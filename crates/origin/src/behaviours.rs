//! The liar.
