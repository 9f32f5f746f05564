//! The producer of a simulated process, and what its member knows of the group: the steps of a
//! commit in the order of `kafka::sink`. Called by the engine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::broker::{Broker, Identity, Refusal};
use super::{Flaw, Shop};
use crate::engine::{Failure, Outgoing, Progress, Transactions};
use crate::metrics::{AbortCause, Phase};

/// What the member knows of the group.
#[derive(Debug, Default)]
pub(super) struct Membership {
    pub(super) generation: u64,
    /// Owned partitions and their epochs.
    pub(super) owned: BTreeMap<i32, u64>,
    last_epoch: u64,
}

impl Membership {
    pub(super) fn assign(&mut self, partition: i32) -> u64 {
        self.last_epoch += 1;
        self.owned.insert(partition, self.last_epoch);
        self.last_epoch
    }
}

/// The producer: the steps of a commit in the order of `kafka::sink`.
pub(super) struct Port {
    pub(super) shop: Rc<Shop>,
    pub(super) broker: Rc<RefCell<Broker>>,
    pub(super) membership: Rc<RefCell<Membership>>,
    pub(super) identity: Identity,
    pub(super) epoch: u64,
    /// Calls that this process still lives for.
    pub(super) fuse: Rc<Cell<Option<u64>>>,
    /// Calls until one is not delivered.
    pub(super) undelivered: Rc<Cell<Option<u64>>>,
}

fn failure(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Fenced | Refusal::Concurrent => Failure::Fatal(format!("{refusal:?}")),
        Refusal::StaleGeneration => {
            Failure::Abort(AbortCause::StaleGeneration, "the group has moved on".to_owned())
        }
    }
}

impl Port {
    /// The process may die between any two calls.
    fn live(&self) -> Result<(), Failure> {
        match self.fuse.get() {
            Some(0) => Err(Failure::Fatal("killed".to_owned())),
            Some(left) => {
                self.fuse.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Transactions for Port {
    fn begin(&mut self) -> Result<(), Failure> {
        self.live()?;
        self.broker.borrow_mut().begin(self.identity, self.epoch).map_err(failure)
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        self.live()?;
        let Outgoing { topic, partition, key, value, headers } = outgoing;
        let record =
            (key.unwrap_or_default().to_vec(), value.map(<[u8]>::to_vec), headers.to_vec());
        let place = (topic, partition.unwrap_or(0));
        match self.undelivered.get() {
            Some(0) => {
                self.undelivered.set(None);
                self.broker.borrow_mut().n_undelivered += 1;
                return Err(Failure::Abort(AbortCause::Delivery, "not delivered".to_owned()));
            }
            left => self.undelivered.set(left.map(|left| left - 1)),
        }
        self.broker.borrow_mut().append(self.identity, self.epoch, place, record).map_err(failure)
    }

    fn commit(&mut self, progress: &[Progress], _budget_ms: u64) -> Result<(), Failure> {
        let offsets = progress.iter().map(|it| (it.partition, it.offset_next)).collect();
        let mut generation = self.membership.borrow().generation;
        if self.shop.has(Flaw::StaleGeneration) {
            generation = self.broker.borrow().generation;
        }
        self.live()?;
        if self.shop.has(Flaw::OffsetsOutside) {
            self.broker.borrow_mut().commit_offsets(&offsets);
        }
        self.broker
            .borrow_mut()
            .send_offsets(self.identity, self.epoch, generation, &offsets)
            .map_err(failure)?;
        for Progress { partition, epoch, .. } in progress {
            if self.membership.borrow().owned.get(partition) != Some(epoch) {
                let why = format!("partition `{partition}` was taken away meanwhile");
                return Err(Failure::Abort(AbortCause::RevokeBudget, why));
            }
        }
        self.live()?;
        self.broker.borrow_mut().end(self.identity, self.epoch, true).map_err(failure)?;
        // The broker has decided; the process may die before it hears of that.
        self.live()
    }

    fn mark(&mut self, _ended: Option<Phase>) {}

    fn abort(&mut self) -> Result<(), Failure> {
        self.live()?;
        self.broker.borrow_mut().end(self.identity, self.epoch, false).map_err(failure)
    }
}
