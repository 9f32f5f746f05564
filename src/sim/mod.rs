//! A seeded simulation of everything that can fail around the engine: the real engine and domain
//! code on one thread, against a broker by its rules, in a group of processes that die between any
//! two calls, hang, come back and are put out. No sockets, no clock: one seed is one run, to the
//! byte. What is visible in the end is held against a recount of the input that shares nothing with
//! the engine, and against a run of the same input in peace. Called by `commands::simulate`.

mod broker;
mod faults;
mod flaw;
mod group;
mod log;
mod member;
mod process;
mod producer;
mod recount;
mod restore;
mod seen;
#[cfg(test)]
mod tests;
mod trace;
mod verdict;
mod workload;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use crate::clv::{Model, ModelFile, Parameters, Spend};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::record::marker::Ground;
use trace::Trace;
use workload::Stored;
use world::World;

pub use flaw::Flaw;
pub use seen::Seen;

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

/// 2024-10-27, when all events of a workload have happened.
const SILENT_FROM_MS: i64 = 1_730_000_000_000;

/// 2060-01-01: decades after every event of a workload, so that whoever bought has left.
const UNTIL_MS: i64 = 2_840_140_800_000;

/// What all processes of a run share.
#[derive(Debug)]
struct Shop {
    plan: Plan,
    ground: Ground,
    logs: BTreeMap<i32, Vec<Stored>>,
    /// Silence is judged up to here once everything was read.
    until_ms: i64,
    /// … and from here on.
    silent_from_ms: i64,
    flaw: Option<Flaw>,
    trace: Rc<Trace>,
    seen: Cell<Seen>,
}

impl Shop {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn count(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.get();
        change(&mut seen);
        self.seen.set(seen);
    }
}

/// Runs one seed, with a break of the protocol if one is wanted.
///
/// # Errors
/// What is wrong with what is visible in the end, and the last steps before.
pub fn run(seed: u64, plan: &Plan, flaw: Option<Flaw>) -> Result<Seen, String> {
    let played = |trace: &Rc<Trace>| {
        catch_unwind(AssertUnwindSafe(|| play(seed, plan, flaw, trace)))
            .unwrap_or_else(|_| Err("a defect was met, see above".to_owned()))
    };
    played(&Rc::default()).map_err(|_| {
        // The same again, to tell of it.
        let trace = Rc::new(Trace::kept());
        let fault = played(&trace).err().unwrap_or_else(|| "it came out otherwise".to_owned());
        format!("{fault}\nlast steps, each with its tick:\n{}", trace.told())
    })
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
        season: None,
        evidence: None,
    };
    Model::from_file(file).map(Arc::new).map_err(|faults| faults.join(", "))
}

fn play(number: u64, plan: &Plan, flaw: Option<Flaw>, trace: &Rc<Trace>) -> Result<Seen, String> {
    let mut dice = Dice::new(number, 0);
    let n_partitions = 1 + i32::try_from(dice.below(3)).unwrap_or(0);
    let intake = &plan.rules.intake;
    let logs = workload::logs(&mut dice, n_partitions, intake);
    let model = if dice.chance(0.3) { Some(model()?) } else { plan.model.clone() };
    let n_identities = 1 + usize::try_from(dice.below(3)).unwrap_or(0);
    let shop = |flaw, trace| {
        Rc::new(Shop {
            plan: Plan { model: model.clone(), ..plan.clone() },
            ground: Ground {
                currency: intake.currency,
                time_zone: "UTC".to_owned(),
                n_partitions,
                input_topic: "events".to_owned(),
                group_id: "simulated".to_owned(),
            },
            logs: logs.clone(),
            until_ms: UNTIL_MS,
            silent_from_ms: SILENT_FROM_MS,
            flaw,
            trace,
            seen: Cell::default(),
        })
    };
    let calm = World::new(&shop(None, Rc::default()), Dice::new(number, 1), 1, true).run()?;
    let shop = shop(flaw, Rc::clone(trace));
    let visible = World::new(&shop, Dice::new(number, 2), n_identities, false).run()?;
    if visible == calm { Ok(shop.seen.get()) } else { Err(calm.difference(&visible)) }
}
