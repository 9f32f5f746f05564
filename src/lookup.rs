//! What HTTP says of one customer: the score as of the last change, and why it is so. Reads the
//! committed store with a pipeline of its own, so that no look-up waits for a lane.

use std::sync::{Arc, Mutex, PoisonError};

use crate::explanation::explain;
use crate::http::{CustomerLookup, Lookup};
use crate::lifecycle::Lanes;
use crate::models::Models;
use crate::pipeline::Pipeline;
use crate::record::changelog;
use crate::store::Store;

/// Answers about one customer from committed state.
#[derive(Debug)]
pub struct Finder {
    store: Arc<Store>,
    lanes: Arc<Lanes>,
    n_partitions: i32,
    models: Arc<Models>,
    /// A pipeline of its own, with the label that it was made for: look-ups wait for each other,
    /// never for a lane.
    pipeline: Mutex<(String, Pipeline)>,
}

impl Finder {
    /// A finder over `store`, whose input topic has `n_partitions`.
    pub fn new(
        store: Arc<Store>,
        lanes: Arc<Lanes>,
        n_partitions: i32,
        models: Arc<Models>,
    ) -> Self {
        let pipeline = models.pipeline();
        let pipeline = Mutex::new((pipeline.model_label().to_owned(), pipeline));
        Self { store, lanes, n_partitions, models, pipeline }
    }

    /// By the model of the customer's partition, whose timers are set by it: while models change,
    /// each partition goes over to the new one by itself.
    fn describe(&self, id: &str, partition: i32, value: &[u8]) -> Option<Vec<u8>> {
        let customer = changelog::decode(value).ok()?;
        let label = self.store.customers(partition)?.model_label();
        let mut made = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        if made.0 != label {
            let pipeline = self.models.pipeline_of(Some(&label));
            *made = (label, pipeline);
        }
        explain(&mut made.1, id, &customer, customer.path.as_of_ms).to_json().ok()
    }
}

impl CustomerLookup for Finder {
    fn find(&self, id: &str) -> Lookup {
        if let Some((partition, value)) = self.store.find(id) {
            return self.describe(id, partition, &value).map_or(Lookup::Unknown, Lookup::Found);
        }
        let owned_partitions = self.store.owned();
        if !self.lanes.is_ready() {
            Lookup::Restoring
        } else if owned_partitions.len() == usize::try_from(self.n_partitions).unwrap_or(0) {
            Lookup::Unknown
        } else {
            Lookup::Elsewhere { owned_partitions, n_partitions: self.n_partitions }
        }
    }
}
