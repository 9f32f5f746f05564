//! What `demo` shows: a simulated shop with planted churners, and the verdict on how many of them
//! were found. Pure: the same seed gives the same records, and the end of the shop's two years is
//! an input; broker, engine and clock are the command's.
//!
//! | file | does |
//! |---|---|
//! | `dice` | seeded draws |
//! | `shop` | the customers, what is planted in them, and all their records in order |
//! | `life` | what one customer does |
//! | `poison` | records that must be refused |
//! | `outputs` | what a reader of the output topics learns |
//! | `verdict` | signals against what was planted |
//! | `summary` | the verdict as text |
//!
//! `model.toml` is the model that the processor is given. Called by the `demo` command.

mod life;
pub mod outputs;
mod poison;
pub mod shop;
#[cfg(test)]
mod shop_tests;
mod summary;
pub mod verdict;
#[cfg(test)]
mod verdict_tests;
