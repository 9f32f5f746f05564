//! How the engine's transactions begin and end: commit with outputs, state and offsets together, or
//! drop the stage and read again. The order of the steps is the protocol.

use tracing::{debug, warn};

use super::port::{Command, Failure, Progress, Transactions};
use super::{ABORTS_MAX, Engine, Open, Owned};
use crate::metrics::{AbortCause, Phase, Tally};

impl<T: Transactions> Engine<T> {
    pub(super) fn begin(&mut self, now_ms: u64) -> Result<(), Failure> {
        if self.open.is_none() {
            self.transactions.begin()?;
            let tally = Tally::new();
            self.open = Some(Open { since_ms: now_ms, n_steps: 0, n_bytes: 0, tally });
        }
        Ok(())
    }

    /// Puts accepted losses into a transaction again if theirs was aborted: what was accepted once
    /// must not stop the next start.
    pub(super) fn mend(&mut self, now_ms: u64) -> Result<(), Failure> {
        let is_left = |owned: &Owned| owned.state.is_mending() && !owned.state.is_staged();
        let left = self.partitions.iter().filter(|(_, owned)| is_left(owned));
        let left: Vec<_> = left.map(|(n, owned)| (*n, owned.state.offset_next())).collect();
        for (partition, offset_next) in left {
            let offset_next = offset_next.expect("whatever was given up has a place to go on from");
            self.enter(partition, offset_next, now_ms)?;
        }
        Ok(())
    }

    pub(super) fn commit_if_full(&mut self) -> Result<(), Failure> {
        let is_full = self.open.as_ref().is_some_and(|open| {
            open.n_steps >= self.options.transaction_events_max
                || open.n_bytes >= self.options.transaction_bytes_max
        });
        if is_full { self.commit(u64::MAX) } else { Ok(()) }
    }

    pub(super) fn commit(&mut self, budget_ms: u64) -> Result<(), Failure> {
        if self.open.is_none() {
            return Ok(());
        }
        self.transactions.mark(None);
        let staged: Vec<i32> = self
            .partitions
            .iter()
            .filter(|(_, owned)| owned.state.is_staged())
            .map(|(partition, _)| *partition)
            .collect();
        let ground = self.options.ground.clone();
        let mut progress = Vec::with_capacity(staged.len());
        for partition in &staged {
            self.step(*partition, |state, work| state.close(&ground, work))?;
            let owned = self.owned(*partition);
            let (epoch, offset_next) = (owned.epoch, owned.state.offset_next());
            let offset_next = offset_next.expect("a partition is staged by a record or a timer");
            progress.push(Progress { partition: *partition, epoch, offset_next });
        }
        self.transactions.mark(Some(Phase::Encode));
        self.transactions.commit(&progress, budget_ms)?;
        self.n_aborts_in_a_row = 0;
        if let Some(open) = self.open.take() {
            self.metrics.transaction_committed(&open.tally);
            let Open { n_steps: inputs, n_bytes: bytes, .. } = open;
            debug!(partitions = progress.len(), inputs, bytes, "transaction committed");
        }
        for Progress { partition, offset_next, .. } in progress {
            let owned = self.partitions.get_mut(&partition).expect("it was staged just now");
            owned.state.commit();
            owned.gauges.committed(offset_next, owned.newest_ms);
            owned.show(&self.calendar);
        }
        self.transactions.mark(Some(Phase::Apply));
        Ok(())
    }

    /// The end of each call: recovers, and says why where that is not possible.
    pub(super) fn settle(&mut self, outcome: Result<(), Failure>) -> Result<(), String> {
        self.recover(outcome).map_err(|failure| {
            self.metrics.transaction_failed();
            failure.to_string()
        })
    }

    /// Turns an abort into a dropped stage and a rewind; hands on what is fatal.
    fn recover(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        match outcome {
            Err(Failure::Abort(cause, why)) => {
                self.n_aborts_in_a_row += 1;
                if self.n_aborts_in_a_row > ABORTS_MAX {
                    let message = format!("{ABORTS_MAX} transactions in a row were aborted: {why}");
                    return Err(Failure::Fatal(message));
                }
                self.abort(cause, &why)
            }
            other => other,
        }
    }

    /// Has a partition that gets no records read again. What is staged is read again with it: the
    /// reader goes back to what is committed.
    pub(super) fn read_again(&mut self, partition: i32, offset_low: i64) -> Result<(), Failure> {
        let Some(owned) = self.partitions.get_mut(&partition) else { return Ok(()) };
        if owned.state.is_staged() {
            return self.abort(AbortCause::Commit, "a partition has stalled");
        }
        owned.is_rewinding = true;
        let offset_next = owned.state.offset_next().unwrap_or(offset_low);
        let rewind = Command::Rewind { partition, epoch: owned.epoch, offset_next };
        self.commands.send(rewind).ok();
        Ok(())
    }

    pub(super) fn abort(&mut self, cause: AbortCause, why: &str) -> Result<(), Failure> {
        for (partition, owned) in &mut self.partitions {
            if !owned.state.is_staged() {
                continue;
            }
            let Some(offset_next) = owned.state.roll_back() else { continue };
            owned.is_rewinding = true;
            let rewind = Command::Rewind { partition: *partition, epoch: owned.epoch, offset_next };
            // A reader that is gone needs no answer.
            self.commands.send(rewind).ok();
        }
        if self.open.take().is_none() {
            return Ok(());
        }
        self.metrics.transaction_aborted(cause);
        warn!(cause = cause.as_str(), why, "transaction aborted");
        self.transactions.abort()
    }
}
