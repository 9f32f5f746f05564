//! What HTTP says of one customer: the score as of the last change, and why it is so. Reads the
//! committed store with a pipeline of its own, so that no look-up waits for a lane. `listing` does
//! so for all customers.

mod listing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::error;

use crate::explanation::explain;
use crate::http::{CustomerLookup, Lookup};
use crate::lifecycle::Lanes;
use crate::pipeline::{Pipeline, Plan};
use crate::record::changelog;
use crate::store::{Found, Store};

pub use listing::Lister;

/// Answers about one customer from committed state.
#[derive(Debug)]
pub struct Finder {
    store: Arc<Store>,
    lanes: Arc<Lanes>,
    n_partitions: i32,
    /// A pipeline of its own: look-ups wait for each other, never for a lane.
    pipeline: Mutex<Pipeline>,
    /// Whoever asks again does not fill the log.
    told: Once,
}

impl Finder {
    /// A finder over `store`, whose input topic has `n_partitions`.
    pub fn new(store: Arc<Store>, lanes: Arc<Lanes>, n_partitions: i32, plan: &Plan) -> Self {
        let (pipeline, told) = (Mutex::new(plan.pipeline()), Once::new());
        Self { store, lanes, n_partitions, pipeline, told }
    }

    /// What was committed when it was found, though the partition may be gone since.
    fn answer(&self, id: &str, found: &Found) -> Lookup {
        // The plan is set before the partition is shown.
        let Some(plan) = found.customers.plan() else { return Lookup::Restoring };
        match self.describe(id, &plan, &found.value) {
            Ok(document) => Lookup::Found(document),
            Err(why) => {
                self.told.call_once(|| {
                    error!(partition = found.partition, "a customer's state is unreadable: {why}");
                });
                Lookup::Unreadable(why)
            }
        }
    }

    /// By the rules and the model of the customer's partition, whose timers are set by them: while
    /// they change, each partition goes over to the new ones by itself.
    fn describe(&self, id: &str, plan: &Plan, value: &[u8]) -> Result<Vec<u8>, String> {
        let customer = changelog::decode(value).map_err(|error| error.to_string())?;
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        if !pipeline.plan().is(plan) {
            *pipeline = plan.pipeline();
        }
        let explained = explain(&mut pipeline, id, &customer, customer.path.as_of_ms);
        explained.to_json().map_err(|error| error.to_string())
    }

    /// Whether partitions are owned that may not be shown yet. One that stalls is shown.
    fn is_waiting(&self) -> bool {
        !self.lanes.waiting().is_empty()
    }
}

impl CustomerLookup for Finder {
    fn find(&self, id: &str) -> Lookup {
        // Asked before and after: a partition may be shown, or taken over, in between.
        let was_waiting = self.is_waiting();
        if let Some(found) = self.store.find(id) {
            return self.answer(id, &found);
        }
        if was_waiting || self.is_waiting() {
            Lookup::Restoring
        } else if self.store.owned().len() == usize::try_from(self.n_partitions).unwrap_or(0) {
            Lookup::Unknown
        } else {
            Lookup::Elsewhere
        }
    }

    fn owned_partitions(&self) -> Vec<i32> {
        self.store.owned()
    }
}
