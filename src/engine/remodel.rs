//! A change of the rules or the model: every customer's timer and share moves. What that costs, a
//! judgement of each, is done beside the engine, which then only looks up who has not changed
//! since. It is what a restart under the new ones would come to. It reads the committed store and
//! decides nothing else. Called by `kafka::remodeller` and by the engine.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;
use tracing::info;
use xxhash_rust::xxh3::xxh3_64;

use super::port::{Failure, Transactions};
use super::timers::{self, Timers};
use super::{Engine, Owned};
use crate::calendar::Day;
use crate::pipeline::{Pipeline, Plan, Rest};
use crate::population::{Census, Place};
use crate::record::changelog;
use crate::store::{Customers, Entry, hash_of};

/// The timers and shares of one partition under other rules or another model.
#[derive(Debug)]
pub struct Remodel {
    /// The input partition.
    pub partition: i32,
    /// The rules and the model.
    pub plan: Plan,
    /// The state that was read: if the partition was lost and restored since, this is not for it.
    pub customers: Arc<Customers>,
    /// By hash of the id: hash of the value, the day, and where the customer counts.
    judged: HashMap<u64, (u64, Option<Day>, Place), FxBuildHasher>,
}

impl Remodel {
    /// Judges every customer by `pipeline`. Takes microseconds for each.
    pub fn prepare(partition: i32, customers: Arc<Customers>, pipeline: &Pipeline) -> Box<Self> {
        let mut judged = HashMap::default();
        customers.visit_copies(|entry| {
            if let Some(Rest { due, share }) = rest(entry, pipeline) {
                judged.insert(hash_of(entry.id), (xxh3_64(entry.value), due, share.place));
            }
            ControlFlow::Continue(())
        });
        Box::new(Self { partition, plan: pipeline.plan(), customers, judged })
    }

    /// Moves every timer and adds everybody up. Who has changed since is judged now, and so is who
    /// shares a hash.
    pub(super) fn take_stock(&self, pipeline: &Pipeline) -> (Timers, Census) {
        let mut population = Census::default();
        let timers = timers::set(&self.customers, |entry| {
            let known = self.judged.get(&hash_of(entry.id));
            let known = known.filter(|(value_hash, ..)| *value_hash == xxh3_64(entry.value));
            let (due, place) = match known {
                Some((_, due, place)) => (*due, *place),
                None => rest(entry, pipeline).map(|rest| (rest.due, rest.share.place))?,
            };
            population.add(&place);
            due
        });
        (timers, population)
    }
}

impl<T: Transactions> Engine<T> {
    /// Changes the rules and the model of every partition that waits for it, once the open
    /// transaction has ended: each transaction is of one model, which its marker names.
    pub(super) fn remodel(&mut self) -> Result<(), Failure> {
        if self.remodels.is_empty() {
            return Ok(());
        }
        self.commit(u64::MAX)?;
        // One at a time: the others of the lane go on meanwhile.
        let Some((partition, remodel)) = self.remodels.pop_first() else { return Ok(()) };
        let pipeline = self.pipeline(&remodel.plan);
        let Some(owned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        if Arc::ptr_eq(owned.state.customers(), &remodel.customers) {
            let (timers, population) = remodel.take_stock(&pipeline.borrow());
            let changes = owned.state.remodel(timers, population);
            // No transaction carries it: the records of the customers stay as they are.
            self.metrics.population_changed(&changes);
            owned.pipeline = pipeline;
            remodel.customers.set_plan(remodel.plan.clone());
            owned.show(&self.calendar);
            let n_customers = owned.state.customers().n_customers();
            let model = remodel.plan.model_label();
            info!(partition, customers = n_customers, model, "changed the model or the rules");
        }
        Ok(())
    }

    /// The pipeline of a plan: that of another partition which is at it, so that they share its
    /// table, or a new one.
    pub(super) fn pipeline(&self, plan: &Plan) -> Rc<RefCell<Pipeline>> {
        let at_it = |owned: &&Owned| owned.pipeline.borrow().plan().is(plan);
        match self.partitions.values().find(at_it) {
            Some(owned) => Rc::clone(&owned.pipeline),
            None => Rc::new(RefCell::new(plan.pipeline())),
        }
    }
}

/// What a customer's state says. What lies in the store was decoded before.
pub(super) fn rest(entry: Entry<'_>, pipeline: &Pipeline) -> Option<Rest> {
    changelog::decode(entry.value).ok().map(|customer| pipeline.rest(&customer))
}
