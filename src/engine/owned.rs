//! What a lane owns: partitions that are taken over when they are restored, and let go. Nothing is
//! processed here. Part of the engine's loop.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::port::{Command, Failure, Restored, Transactions};
use super::{Engine, Partition};
use crate::calendar::Calendar;
use crate::metrics::PartitionGauges;
use crate::pipeline::Pipeline;

/// A partition with the epoch from which its records are taken.
pub(super) struct Owned {
    pub(super) state: Partition,
    /// Shared by the partitions that are judged alike.
    pub(super) pipeline: Rc<RefCell<Pipeline>>,
    pub(super) epoch: u64,
    /// Set by an abort: records of the present epoch are dropped until the reader has rewound.
    pub(super) is_rewinding: bool,
    /// The Kafka timestamp of the newest record read.
    pub(super) newest_ms: Option<i64>,
    /// When the newest event occurred.
    pub(super) newest_event_ms: Option<i64>,
    pub(super) gauges: Arc<PartitionGauges>,
}

/// A partition whose state is on its way, with the epoch of its assignment.
pub(super) struct Awaited {
    pub(super) epoch: u64,
    pub(super) gauges: Arc<PartitionGauges>,
}

impl<T: Transactions> Engine<T> {
    /// Takes over a restored partition, unless it was taken away while it was being restored.
    pub(super) fn install(&mut self, restored: Restored, now_ms: u64) -> Result<(), Failure> {
        let (partition, epoch) = (restored.partition, restored.epoch);
        match self.restoring.get(&partition).map(|awaited| awaited.epoch) {
            Some(awaited) if awaited == epoch => {}
            // An older assignment's; that one was revoked.
            _ if epoch <= self.heard => return Ok(()),
            Some(_) | None => {
                self.early.insert(partition, restored);
                return Ok(());
            }
        }
        let Some(Awaited { gauges, .. }) = self.restoring.remove(&partition) else {
            return Ok(());
        };
        let plan = restored.plan.clone();
        let pipeline = self.pipeline(&plan);
        let state = Partition::new(restored);
        state.customers().set_plan(plan);
        self.store.insert(partition, Arc::clone(state.customers()));
        let offset_next = state.offset_next();
        gauges.run_from(offset_next.unwrap_or(0));
        let (newest_ms, newest_event_ms) = (None, None);
        let is_rewinding = false;
        let owned =
            Owned { state, pipeline, epoch, is_rewinding, newest_ms, newest_event_ms, gauges };
        owned.show(&self.calendar);
        self.partitions.insert(partition, owned);
        self.commands.send(Command::Resume { partition, epoch, offset_next }).ok();
        self.mend(now_ms)
    }

    pub(super) fn release(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.restoring.remove(partition);
            self.remodels.remove(partition);
            // What is early stays: it belongs to an assignment that comes after this.
            if let Some(owned) = self.partitions.remove(partition) {
                self.store.remove(*partition, owned.state.customers());
            }
        }
    }
}

impl Owned {
    /// Shows what is committed, in the gauges and in the store.
    pub(super) fn show(&self, calendar: &Calendar) {
        self.gauges.set_figures(self.state.figures(calendar), self.state.population());
        self.state.customers().set_newest_event(self.newest_event_ms);
    }

    /// Whether records and ticks of this epoch count. The first of a newer epoch ends a rewind.
    pub(super) fn takes(&mut self, epoch: u64) -> bool {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.is_rewinding = false;
        }
        epoch == self.epoch && !self.is_rewinding
    }
}
