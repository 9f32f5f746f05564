//! The loop over [`Input`]: stages what records and timers change, and commits it with its outputs
//! and offsets in one transaction, or drops all of it. It reads no clock (time is an argument),
//! knows no Kafka client and judges no customer. Called by `kafka::lane`, `replay` and tests.

mod owned;
pub mod partition;
pub mod port;
pub mod rebuild;
pub mod remodel;
mod stage;
#[cfg(test)]
mod tests;
pub mod timers;
mod transaction;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossbeam_channel::Sender;

use self::owned::{Awaited, Owned};
pub use self::partition::Partition;
pub use self::port::{
    Batch, Command, Failure, Input, Mending, Outgoing, Progress, Record, Rejected, Restored, Topic,
    Transactions,
};
use self::remodel::Remodel;
pub use self::work::Work;
use crate::calendar::Calendar;
use crate::config::Emit;
use crate::event::Event;
use crate::metrics::{AbortCause, Metrics, Tally};
use crate::pipeline::Clock;
use crate::record::marker::Ground;
use crate::store::Store;

/// What one engine is built for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The input topic, named in dead letters.
    pub input_topic: String,
    /// When scores are written.
    pub emit: Emit,
    /// A transaction is committed when it is this old.
    pub commit_interval_ms: u64,
    /// … or has changed this many customers, read this many records or fired this many timers.
    pub transaction_events_max: u64,
    /// … or has written this many bytes.
    pub transaction_bytes_max: u64,
    /// How long a revoke may hold the group up.
    pub revoke_budget_ms: u64,
    /// What the changelog's markers say of the ground.
    pub ground: Ground,
}

/// Transactions in a row that may be aborted before the engine gives up.
const ABORTS_MAX: u32 = 20;

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Give the next input.
    Continue,
    /// Everything is committed and closed.
    Stop,
}

/// One lane's state machine.
pub struct Engine<T> {
    options: Options,
    /// The same under all rules and models.
    calendar: Calendar,
    partitions: BTreeMap<i32, Owned>,
    /// Assigned and not restored yet.
    restoring: BTreeMap<i32, Awaited>,
    /// Restored before the assignment was heard of.
    early: BTreeMap<i32, Restored>,
    /// The newest epoch that an assignment has announced.
    heard: u64,
    store: Arc<Store>,
    transactions: T,
    metrics: Arc<Metrics>,
    commands: Sender<Command>,
    open: Option<Open>,
    n_aborts_in_a_row: u32,
    /// Changes of the model that wait for the open transaction to end.
    remodels: BTreeMap<i32, Box<Remodel>>,
}

/// The open transaction.
#[derive(Debug)]
struct Open {
    since_ms: u64,
    n_steps: u64,
    n_bytes: u64,
    /// Reaches the metrics only if the transaction commits.
    tally: Tally,
}

impl<T> std::fmt::Debug for Engine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let partitions: BTreeSet<_> = self.partitions.keys().collect();
        f.debug_struct("Engine")
            .field("partitions", &partitions)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl<T: Transactions> Engine<T> {
    /// An engine that owns nothing yet.
    pub fn new(
        options: Options,
        calendar: Calendar,
        store: Arc<Store>,
        transactions: T,
        metrics: Arc<Metrics>,
        commands: Sender<Command>,
    ) -> Self {
        Self {
            options,
            calendar,
            partitions: BTreeMap::new(),
            restoring: BTreeMap::new(),
            early: BTreeMap::new(),
            heard: 0,
            store,
            transactions,
            metrics,
            commands,
            open: None,
            n_aborts_in_a_row: 0,
            remodels: BTreeMap::new(),
        }
    }

    /// How many partitions are being processed.
    pub fn n_running(&self) -> usize {
        self.partitions.len()
    }

    /// Milliseconds until the open transaction should be committed.
    pub fn commit_due_in_ms(&self, now_ms: u64) -> Option<u64> {
        let open = self.open.as_ref()?;
        Some((open.since_ms + self.options.commit_interval_ms).saturating_sub(now_ms))
    }

    /// Takes one input. `now_ms` is any clock that does not go back.
    ///
    /// # Errors
    /// A sentence that says why the lane cannot go on.
    pub fn handle(&mut self, input: Input, now_ms: u64) -> Result<Flow, String> {
        let outcome = match input {
            Input::Records(batch) => self.records(batch, now_ms),
            Input::Tick { partition, epoch, until_ms } => {
                self.tick(partition, epoch, until_ms, now_ms)
            }
            Input::Assigned { partition, epoch, gauges } => {
                self.restoring.insert(partition, Awaited { epoch, gauges });
                self.heard = self.heard.max(epoch);
                // A queue that was full may have let the restore overtake this.
                let early = self.early.remove(&partition);
                early.map_or(Ok(()), |early| self.install(early, now_ms))
            }
            Input::Restored(restored) => self.install(*restored, now_ms),
            Input::Revoked { partitions, acknowledge } => {
                let outcome = self.commit(self.options.revoke_budget_ms);
                let outcome = self.settle(outcome);
                self.release(&partitions);
                // The source may have stopped waiting: its budget is spent, and so is this answer.
                acknowledge.try_send(()).ok();
                return outcome.map(|()| Flow::Continue);
            }
            Input::Lost { partitions, acknowledge } => {
                let why = "partitions were lost to another member";
                let outcome = self.abort(AbortCause::AssignmentLost, why);
                self.release(&partitions);
                acknowledge.try_send(()).ok();
                outcome
            }
            Input::Stalled { partition, offset_low } => self.read_again(partition, offset_low),
            Input::Model(remodel) => {
                self.remodels.insert(remodel.partition, remodel);
                Ok(())
            }
            Input::Failed(sentence) => {
                self.metrics.transaction_failed();
                self.abort(AbortCause::Shutdown, &sentence).ok();
                return Err(sentence);
            }
            Input::Shutdown => {
                let outcome = self.commit(self.options.revoke_budget_ms);
                return self.settle(outcome).map(|()| Flow::Stop);
            }
        };
        self.settle(outcome).map(|()| Flow::Continue)
    }

    /// Commits the open transaction if it is old enough.
    ///
    /// # Errors
    /// A sentence that says why the lane cannot go on.
    pub fn turn(&mut self, now_ms: u64) -> Result<(), String> {
        let outcome = self.remodel().and_then(|()| self.mend(now_ms));
        self.settle(outcome)?;
        if self.commit_due_in_ms(now_ms) == Some(0) {
            let outcome = self.commit(u64::MAX);
            self.settle(outcome)?;
        }
        Ok(())
    }

    fn records(&mut self, batch: Batch, now_ms: u64) -> Result<(), Failure> {
        let Batch { partition, epoch, records } = batch;
        for record in records {
            if !self.takes(partition, epoch) {
                return Ok(());
            }
            self.enter(partition, record.offset, now_ms)?;
            let offset = record.offset;
            match record.decoded {
                Ok(event) => self.event(partition, &event, offset, now_ms)?,
                Err(rejected) => {
                    let topic = self.options.input_topic.clone();
                    self.step(partition, |state, work| {
                        state.read(offset);
                        state.reject(*rejected, offset, &topic, work)
                    })?;
                }
            }
            self.count_step();
            let newest_ms = &mut self.owned(partition).newest_ms;
            *newest_ms = (*newest_ms).max(record.timestamp_ms);
            self.commit_if_full()?;
        }
        Ok(())
    }

    fn event(
        &mut self,
        partition: i32,
        event: &Event,
        offset: i64,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let mut is_admitted = false;
        self.step(partition, |state, work| {
            is_admitted = state.admits(event, offset, work);
            if !is_admitted {
                state.read(offset);
            }
            Ok(())
        })?;
        if !is_admitted {
            return Ok(());
        }
        let newest_ms = &mut self.owned(partition).newest_event_ms;
        *newest_ms = (*newest_ms).max(Some(event.occurred_at_ms));
        self.fire_until(partition, event.occurred_at_ms, Clock::Event, now_ms)?;
        // Firing may have committed; then the event opens the next transaction.
        self.enter(partition, offset, now_ms)?;
        self.step(partition, |state, work| {
            state.read(offset);
            state.apply_event(event, offset, work)
        })
    }

    fn tick(
        &mut self,
        partition: i32,
        epoch: u64,
        until_ms: i64,
        now_ms: u64,
    ) -> Result<(), Failure> {
        if self.takes(partition, epoch) {
            self.fire_until(partition, until_ms, Clock::Idle, now_ms)?;
        }
        Ok(())
    }

    /// Whether inputs of this partition and epoch count.
    fn takes(&mut self, partition: i32, epoch: u64) -> bool {
        self.partitions.get_mut(&partition).is_some_and(|owned| owned.takes(epoch))
    }

    /// Puts the record at `offset` inside the open transaction, so that an abort from here on reads
    /// it again.
    fn enter(&mut self, partition: i32, offset: i64, now_ms: u64) -> Result<(), Failure> {
        self.owned(partition).state.enter(offset);
        self.begin(now_ms)
    }

    /// Fires what is due by day and hash of the id, ending transactions between two timers when
    /// full.
    fn fire_until(
        &mut self,
        partition: i32,
        until_ms: i64,
        clock: Clock,
        now_ms: u64,
    ) -> Result<(), Failure> {
        while self.is_due(partition, until_ms) {
            // The last firing may have committed, and an abort reads again only what is staged.
            let offset_next = self.owned(partition).state.offset_next();
            self.enter(partition, offset_next.expect("who has a timer was read"), now_ms)?;
            self.step(partition, |state, work| state.fire_next(clock, work))?;
            self.count_step();
            self.commit_if_full()?;
        }
        Ok(())
    }

    /// One record read or one timer fired.
    fn count_step(&mut self) {
        if let Some(open) = &mut self.open {
            open.n_steps += 1;
        }
    }

    fn is_due(&self, partition: i32, until_ms: i64) -> bool {
        let owned = self.partitions.get(&partition);
        owned.is_some_and(|owned| owned.state.is_due(&self.calendar, until_ms))
    }

    fn owned(&mut self, partition: i32) -> &mut Owned {
        self.partitions.get_mut(&partition).expect("the caller looked the partition up")
    }

    /// Does one step of a partition's work inside the open transaction.
    fn step(
        &mut self,
        partition: i32,
        work: impl FnOnce(&mut Partition, &mut Work<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { open, partitions, transactions, options, .. } = self;
        let Open { n_bytes, tally, .. } = open.as_mut().expect("a step is inside a transaction");
        let owned = partitions.get_mut(&partition).expect("the caller looked it up");
        let mut out = |outgoing: Outgoing<'_>| {
            *n_bytes += outgoing.n_bytes();
            transactions.send(outgoing)
        };
        let emit = options.emit;
        let pipeline = &mut owned.pipeline.borrow_mut();
        work(&mut owned.state, &mut Work { pipeline, emit, tally, out: &mut out })
    }
}
