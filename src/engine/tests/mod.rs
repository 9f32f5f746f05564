//! The engine against a broker and a reader in memory: whatever fails, whenever it commits and
//! wherever it is restarted, the outcome is the same. `broker`, `source` and `world` stand for what
//! is outside the engine, `workload` makes the events, `outcome` compares; the other files are the
//! tests.

mod broker;
mod erasure;
mod model;
mod outcome;
mod ownership;
mod poison;
mod population;
mod recount;
mod reload;
mod sameness;
mod scale;
mod source;
mod time;
mod upgrade;
mod workload;
mod world;

use crate::pipeline::Pipeline;

/// The pipeline of these tests.
pub(super) fn pipeline() -> Pipeline {
    world::Setup::new(crate::config::Emit::Event).pipeline()
}
