//! What HTTP says of one customer: the score as of the last change, and why it is so. Reads the
//! committed store with a pipeline of its own, so that no look-up waits for a lane. `listing` does
//! so for all customers.

mod listing;

use std::sync::{Arc, Mutex, PoisonError};

use crate::explanation::explain;
use crate::http::{CustomerLookup, Lookup};
use crate::lifecycle::Lanes;
use crate::pipeline::{Pipeline, Plan};
use crate::record::changelog;
use crate::store::Store;

pub use listing::Lister;

/// Answers about one customer from committed state.
#[derive(Debug)]
pub struct Finder {
    store: Arc<Store>,
    lanes: Arc<Lanes>,
    n_partitions: i32,
    /// A pipeline of its own: look-ups wait for each other, never for a lane.
    pipeline: Mutex<Pipeline>,
}

impl Finder {
    /// A finder over `store`, whose input topic has `n_partitions`.
    pub fn new(store: Arc<Store>, lanes: Arc<Lanes>, n_partitions: i32, plan: &Plan) -> Self {
        Self { store, lanes, n_partitions, pipeline: Mutex::new(plan.pipeline()) }
    }

    /// By the rules and the model of the customer's partition, whose timers are set by them: while
    /// they change, each partition goes over to the new ones by itself.
    fn describe(&self, id: &str, partition: i32, value: &[u8]) -> Option<Vec<u8>> {
        let customer = changelog::decode(value).ok()?;
        let plan = self.store.customers(partition)?.plan()?;
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        if !pipeline.plan().is(&plan) {
            *pipeline = plan.pipeline();
        }
        explain(&mut pipeline, id, &customer, customer.path.as_of_ms).to_json().ok()
    }
}

impl CustomerLookup for Finder {
    fn find(&self, id: &str) -> Lookup {
        if let Some((partition, value)) = self.store.find(id) {
            return self.describe(id, partition, &value).map_or(Lookup::Unknown, Lookup::Found);
        }
        if !self.lanes.is_ready() {
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
