//! 5 publish: the bytes of every record that Lifetide writes, versioned, both directions.
//! Each form is pinned by golden bytes in its tests. No state, no I/O.

pub mod changelog;
pub mod dead_letter;
pub mod erased;
pub mod marker;
pub mod model;
mod object;
pub mod redriven;
pub mod score;
pub mod signal;
pub mod wire;
