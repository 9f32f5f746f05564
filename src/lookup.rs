//! What HTTP says of one customer: the score as of the last change, and the figures behind it.
//! Reads the committed store with a pipeline of its own, so that no look-up waits for a lane.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::churn::Cause;
use crate::http::{CustomerLookup, Lookup};
use crate::lifecycle::Lanes;
use crate::models::Models;
use crate::pipeline::Pipeline;
use crate::record::changelog;
use crate::record::wire::{Date, Money};
use crate::store::Store;

/// Answers about one customer from committed state.
#[derive(Debug)]
pub struct Finder {
    store: Arc<Store>,
    lanes: Arc<Lanes>,
    n_partitions: i32,
    models: Arc<Models>,
    /// A pipeline of its own: look-ups wait for each other, never for a lane.
    pipeline: Mutex<Pipeline>,
}

impl Finder {
    /// A finder over `store`, whose input topic has `n_partitions`.
    pub fn new(
        store: Arc<Store>,
        lanes: Arc<Lanes>,
        n_partitions: i32,
        models: Arc<Models>,
    ) -> Self {
        let pipeline = Mutex::new(models.pipeline());
        Self { store, lanes, n_partitions, models, pipeline }
    }

    fn describe(&self, id: &str, value: &[u8]) -> Option<Vec<u8>> {
        let customer = changelog::decode(value).ok()?;
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        if self.models.wanted().is_some_and(|model| model.label() != pipeline.model_label()) {
            *pipeline = self.models.pipeline();
        }
        let as_of_ms = customer.path.as_of_ms;
        let score = pipeline.score(id, &customer, as_of_ms, Cause::Time, None);
        let purchases = customer.ledger.purchases(pipeline.rules().calendar.day(as_of_ms));
        let currency = pipeline.rules().intake.currency;
        let explanation = Explanation {
            x: purchases.map(|purchases| purchases.x),
            t_x_days: purchases.map(|purchases| purchases.t_x_days),
            t_days: purchases.map(|purchases| purchases.t_days),
            repeat_net: Money::new(customer.ledger.repeat_net_minor(), currency),
            silence_changes_on: pipeline.due_day(&customer).map(Date),
            purchase_days: customer
                .ledger
                .days()
                .iter()
                .rev()
                .take(PURCHASE_DAYS_SHOWN)
                .map(|entry| PurchaseDay {
                    on: Date(entry.day),
                    orders: entry.n_orders,
                    net: Money::new(entry.net_minor, currency),
                })
                .collect(),
        };
        let score: &RawValue = serde_json::from_slice(&score).ok()?;
        serde_json::to_vec(&Document { score, explanation }).ok()
    }
}

/// Purchase days that an explanation shows.
const PURCHASE_DAYS_SHOWN: usize = 32;

/// The answer to a look-up.
#[derive(Serialize)]
struct Document<'a> {
    score: &'a RawValue,
    explanation: Explanation,
}

/// The figures behind a score, as the models take them.
#[derive(Serialize)]
struct Explanation {
    /// Purchase days after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<u32>,
    /// Days from the first to the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    t_x_days: Option<u32>,
    /// Days from the first to `as_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    t_days: Option<u32>,
    /// Net revenue of the days after the first.
    repeat_net: Money,
    /// The next day on which silence alone changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    silence_changes_on: Option<Date>,
    /// The newest purchase days, newest first.
    purchase_days: Vec<PurchaseDay>,
}

#[derive(Serialize)]
struct PurchaseDay {
    on: Date,
    orders: u32,
    net: Money,
}

impl CustomerLookup for Finder {
    fn find(&self, id: &str) -> Lookup {
        if let Some((_, value)) = self.store.find(id) {
            return self.describe(id, &value).map_or(Lookup::Unknown, Lookup::Found);
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
