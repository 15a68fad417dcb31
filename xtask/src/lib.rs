//! What the developer commands share with the bench, which is a workspace of its own: reading options, running
//! programs, installing Debian's packages.

pub mod options;
pub mod packages;
pub mod shell;
