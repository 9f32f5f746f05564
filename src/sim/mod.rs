//! A seeded simulation of everything that can fail around the engine: the real engine and domain
//! code on one thread, against a broker by its rules, in a group of processes that die between any
//! two calls, hang, come back and are put out. No sockets, no clock: one seed is one run, to the
//! byte. What is visible in the end is held against a recount of the input that shares nothing with
//! the engine, and against a run of the same input in peace. Called by `commands::simulate`.

mod broker;
mod port;
mod process;
mod recount;
#[cfg(test)]
mod tests;
mod verdict;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use crate::clv::{Model, ModelFile, Parameters, Spend};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::record::marker::Ground;
use workload::Stored;
use world::World;

pub use world::Seen;

/// What a workload needs of the configuration: windows wider than it is long, so that the recount
/// needs none.
pub const SETTINGS: [&str; 4] = [
    "processing.currency=USD",
    "processing.refund_window_days=365",
    "processing.lateness_days=60",
    "processing.erasure_memory_days=40",
];

/// The same for the recount.
const ERASURE_MEMORY_DAYS: i64 = 40;

/// 2060-01-01: decades after every event of a workload, so that whoever bought has left.
const UNTIL_MS: i64 = 2_840_140_800_000;

/// A deliberate break of the protocol, to show that a run would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Offsets are committed beside the transaction, not in it.
    OffsetsOutside,
    /// Offsets are sent for whatever generation the group has, not for the member's own.
    StaleGeneration,
    /// An aborted transaction's records are not read again.
    NoSeekBack,
    /// Records that were read before a rewind are processed after it.
    OldEpoch,
    /// A restore ends where committed readers see the end.
    RestoreEndCommitted,
    /// A restore reads what was aborted or is still open.
    RestoreUncommitted,
    /// A restore does not wait for pending offsets, nor compares them with the marker.
    MarkerNotChecked,
    /// A restore does not rebuild the timers.
    TimersNotRebuilt,
}

impl Flaw {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::OffsetsOutside,
        Self::StaleGeneration,
        Self::NoSeekBack,
        Self::OldEpoch,
        Self::RestoreEndCommitted,
        Self::RestoreUncommitted,
        Self::MarkerNotChecked,
        Self::TimersNotRebuilt,
    ];
}

/// What all processes of a run share.
#[derive(Clone, Debug)]
struct Shop {
    plan: Plan,
    ground: Ground,
    logs: BTreeMap<i32, Vec<Stored>>,
    /// Silence is judged up to here once everything was read.
    until_ms: i64,
    flaw: Option<Flaw>,
}

impl Shop {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

/// Runs one seed, with a break of the protocol if one is wanted.
///
/// # Errors
/// What is wrong with what is visible in the end, and the last steps before.
pub fn run(seed: u64, plan: &Plan, flaw: Option<Flaw>) -> Result<Seen, String> {
    catch_unwind(AssertUnwindSafe(|| play(seed, plan, flaw)))
        .unwrap_or_else(|_| Err("a defect was met, see above".to_owned()))
}

/// BG/NBD with Gamma-Gamma, the parameters of the CDNOW customers: with a model, silence moves
/// chances of being alive, which have timers of their own.
fn model() -> Result<Arc<Model>, String> {
    let parameters = Parameters {
        r: Some(0.2426),
        alpha: Some(4.4136),
        a: Some(0.7929),
        b: Some(2.4259),
        ..Parameters::default()
    };
    let spend = Spend { p: Some(6.2496), q: Some(3.7442), gamma: Some(15.4435) };
    let file = ModelFile {
        schema: "lifetide.model/1".to_owned(),
        name: "bg-nbd".to_owned(),
        version: "simulated".to_owned(),
        unit: "week".to_owned(),
        currency: None,
        parameters,
        spend: Some(spend),
        evidence: None,
    };
    Model::from_file(file).map(Arc::new).map_err(|faults| faults.join(", "))
}

fn play(number: u64, plan: &Plan, flaw: Option<Flaw>) -> Result<Seen, String> {
    let mut dice = Dice::new(number, 0);
    let n_partitions = 1 + i32::try_from(dice.below(3)).unwrap_or(0);
    let intake = &plan.rules.intake;
    let logs = workload::logs(&mut dice, n_partitions, intake);
    let ground = Ground { currency: intake.currency, time_zone: "UTC".to_owned(), n_partitions };
    let model = if dice.chance(0.3) { Some(model()?) } else { plan.model.clone() };
    let plan = Plan { model, ..plan.clone() };
    let shop = Shop { plan, ground, logs, until_ms: UNTIL_MS, flaw: None };
    let broken = Rc::new(Shop { flaw, ..shop.clone() });
    let shop = Rc::new(shop);
    let n_identities = 1 + usize::try_from(dice.below(3)).unwrap_or(0);
    let (_, peaceful) = World::new(&shop, Dice::new(number, 1), 1, false).run()?;
    let (seen, visible) = World::new(&broken, Dice::new(number, 2), n_identities, true).run()?;
    if visible != peaceful {
        return Err(peaceful.difference(&visible));
    }
    Ok(seen)
}
