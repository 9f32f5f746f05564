//! 5 publish: the bytes of every record that Lifetide writes, versioned, both directions.

pub mod changelog;
pub mod erased;
