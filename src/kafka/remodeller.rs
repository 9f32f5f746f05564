//! Brings the partitions of a lane to the rules and the model to go on with, one after the other,
//! on a thread of its own: to judge a million customers anew takes seconds. It only prepares; the
//! engine changes over between two transactions. Started by `lane`.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::ownership::Ownership;
use crate::engine::Input;
use crate::engine::remodel::Remodel;
use crate::models::Models;
use crate::pipeline::Plan;
use crate::store::{Customers, Store};

/// How often what is in use is compared with what to go on with.
const LOOK: Duration = Duration::from_millis(500);

/// What it works with.
pub(super) struct Remodeller {
    pub(super) models: Arc<Models>,
    pub(super) store: Arc<Store>,
    pub(super) ownership: Arc<Ownership>,
    pub(super) inputs: Sender<Input>,
    /// Hangs up when the lane ends.
    pub(super) end: Receiver<()>,
}

impl Remodeller {
    /// Works until the lane hangs up.
    pub(super) fn run(&self) {
        let mut told: BTreeMap<i32, (Weak<Customers>, Plan)> = BTreeMap::new();
        while self.end.recv_timeout(LOOK).is_err_and(|error| error.is_timeout()) {
            let owned = self.ownership.owned();
            told.retain(|partition, _| owned.contains_key(partition));
            for partition in owned.into_keys() {
                let Some(customers) = self.store.customers(partition) else { continue };
                let Some(wanted) = customers.plan().and_then(|it| self.models.successor(&it))
                else {
                    continue;
                };
                let is_told = told.get(&partition).is_some_and(|(of, plan)| {
                    of.as_ptr() == Arc::as_ptr(&customers) && plan.is(&wanted)
                });
                if is_told {
                    continue;
                }
                told.insert(partition, (Arc::downgrade(&customers), wanted.clone()));
                let remodel = Remodel::prepare(partition, customers, &wanted.pipeline());
                if self.inputs.send(Input::Model(remodel)).is_err() {
                    return;
                }
            }
        }
    }
}
