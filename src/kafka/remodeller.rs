//! Brings the partitions of a lane to the model to go on with, one after the other, on a thread of
//! its own: to judge a million customers anew takes seconds. It only prepares; the engine changes
//! the model between two transactions. Started by `lane`.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::ownership::Ownership;
use crate::engine::Input;
use crate::engine::remodel::Remodel;
use crate::models::Models;
use crate::store::{Customers, Store};

/// How often the models in use are compared with the one to go on with.
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
        let mut told: BTreeMap<i32, (Weak<Customers>, String)> = BTreeMap::new();
        while self.end.recv_timeout(LOOK).is_err_and(|error| error.is_timeout()) {
            let Some(wanted) = self.models.wanted() else { continue };
            let owned = self.ownership.owned();
            told.retain(|partition, _| owned.contains_key(partition));
            for partition in owned.into_keys() {
                let Some(customers) = self.store.customers(partition) else { continue };
                let is_told = told.get(&partition).is_some_and(|(of, label)| {
                    of.as_ptr() == Arc::as_ptr(&customers) && label == wanted.label()
                });
                if is_told || customers.model_label() == wanted.label() {
                    continue;
                }
                told.insert(partition, (Arc::downgrade(&customers), wanted.label().to_owned()));
                let pipeline = self.models.pipeline();
                let remodel = Remodel::prepare(partition, customers, &pipeline);
                let sent = remodel.map(|remodel| self.inputs.send(Input::Model(remodel)));
                if let Some(Err(_)) = sent {
                    return;
                }
            }
        }
    }
}
