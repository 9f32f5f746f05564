//! What is known of one owned partition, and what follows from it at the moment of a scrape: ages
//! keep growing while the lane that should report is stuck. Takes the time as an argument and has
//! no lock; `board` keeps one a partition. Times are epoch milliseconds of the wall clock.

use super::label::PartitionState;
use crate::population::Census;

/// The size of a partition's committed state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Customers in the store.
    pub n_customers: u64,
    /// Bytes that they take, all in: keys, map slots, timers.
    pub store_bytes: u64,
    /// Timers set, due or not.
    pub n_timers_pending: u64,
    /// Timers whose day has come and that have not fired yet.
    pub n_timers_due: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    stable: i64,
    high: i64,
    learnt_ms: i64,
    stable_moved_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Restore {
    started_ms: i64,
    offset_start: i64,
    offset_next: i64,
    offset_end: i64,
    n_records: u64,
}

/// What is known of one owned partition.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    state: PartitionState,
    assigned_ms: i64,
    progress_ms: i64,
    offset_next: Option<i64>,
    newest_record_ms: Option<i64>,
    /// When the input's end was learnt that has since been reached.
    caught_up_ms: Option<i64>,
    ends: Option<Ends>,
    restore: Option<Restore>,
    figures: Figures,
    population: Census,
}

impl Reading {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            state: PartitionState::Restoring,
            assigned_ms: now_ms,
            progress_ms: now_ms,
            offset_next: None,
            newest_record_ms: None,
            caught_up_ms: None,
            ends: None,
            restore: None,
            figures: Figures::default(),
            population: Census::default(),
        }
    }

    pub(super) fn restore_from(&mut self, offset_start: i64, offset_end: i64, now_ms: i64) {
        let offset_next = offset_start;
        let (started_ms, n_records) = (now_ms, 0);
        self.restore =
            Some(Restore { started_ms, offset_start, offset_next, offset_end, n_records });
        self.progress_ms = now_ms;
    }

    pub(super) fn restored_to(&mut self, offset_next: i64, n_records: u64, now_ms: i64) {
        if let Some(restore) = &mut self.restore
            && offset_next > restore.offset_next
        {
            restore.n_records += n_records;
            restore.offset_next = offset_next;
            self.progress_ms = now_ms;
        }
    }

    /// Milliseconds since the assignment, which is what the restore took.
    pub(super) fn run_from(&mut self, offset_next: i64, now_ms: i64) -> i64 {
        self.state = PartitionState::Running;
        self.restore = None;
        self.offset_next = Some(offset_next);
        self.progress_ms = now_ms;
        self.note_caught_up();
        now_ms - self.assigned_ms
    }

    pub(super) fn ends(&mut self, stable: i64, high: i64, now_ms: i64) {
        let stable_moved_ms = match self.ends {
            Some(ends) if ends.stable == stable && stable < high && ends.stable < ends.high => {
                ends.stable_moved_ms
            }
            Some(_) | None => now_ms,
        };
        self.ends = Some(Ends { stable, high, learnt_ms: now_ms, stable_moved_ms });
        self.note_caught_up();
    }

    pub(super) fn committed(
        &mut self,
        offset_next: i64,
        newest_record_ms: Option<i64>,
        now_ms: i64,
    ) {
        self.offset_next = Some(offset_next);
        self.newest_record_ms = self.newest_record_ms.max(newest_record_ms);
        self.progress_ms = now_ms;
        self.note_caught_up();
    }

    pub(super) fn set_figures(&mut self, figures: Figures, population: &Census) {
        self.figures = figures;
        self.population.clone_from(population);
    }

    pub(super) fn state(&self) -> PartitionState {
        self.state
    }

    pub(super) fn figures(&self) -> Figures {
        self.figures
    }

    /// The sum over the customers.
    pub(super) fn population(&self) -> &Census {
        &self.population
    }

    pub(super) fn progress_ms(&self) -> i64 {
        self.progress_ms
    }

    /// Records that a `read_committed` reader could read and that are not processed.
    pub(super) fn lag_records(&self) -> Option<i64> {
        Some((self.ends?.stable - self.offset_next?).max(0))
    }

    /// The oldest unprocessed record came after the newest processed one and after the last moment
    /// at which nothing was left, so it is at most this old.
    pub(super) fn lag_ms(&self, now_ms: i64) -> Option<i64> {
        if self.lag_records()? == 0 {
            return Some(0);
        }
        let since = self.newest_record_ms.max(self.caught_up_ms).unwrap_or(self.assigned_ms);
        Some((now_ms - since).max(0))
    }

    /// Records behind the last stable offset: a producer's transaction is still open.
    pub(super) fn open_transaction_records(&self) -> Option<i64> {
        self.ends.map(|ends| (ends.high - ends.stable).max(0))
    }

    /// How long the same open transaction has held back its partition.
    pub(super) fn open_transaction_ms(&self, now_ms: i64) -> Option<i64> {
        let is_open = self.open_transaction_records()? > 0;
        self.ends.map(|ends| if is_open { (now_ms - ends.stable_moved_ms).max(0) } else { 0 })
    }

    /// How long there has been work and nothing was done: a restore that does not advance, or
    /// records waiting and no commit.
    pub(super) fn stalled_ms(&self, now_ms: i64) -> i64 {
        let has_work = match self.state {
            PartitionState::Restoring => true,
            PartitionState::Running => self.lag_records().is_some_and(|lag| lag > 0),
        };
        let since = self.progress_ms.max(self.caught_up_ms.unwrap_or(self.progress_ms));
        if has_work { (now_ms - since).max(0) } else { 0 }
    }

    /// A value that changes with each commit and each step of a restore, and the next offset to
    /// read of the input, which is absent while the partition is restored.
    pub(super) fn progress(&self) -> (i64, Option<i64>) {
        (self.progress_ms, self.offset_next)
    }

    /// Changelog offsets still to read.
    pub(super) fn restore_remaining(&self) -> Option<i64> {
        match self.state {
            PartitionState::Running => Some(0),
            PartitionState::Restoring => self.restore.map(|restore| restore.remaining()),
        }
    }

    /// Share of the changelog read, 0 to 1.
    pub(super) fn restore_progress(&self) -> Option<f64> {
        match self.state {
            PartitionState::Running => Some(1.0),
            PartitionState::Restoring => self.restore.map(|restore| restore.progress()),
        }
    }

    /// What is left at the mean speed so far; unknown before the first record.
    pub(super) fn restore_eta_seconds(&self, now_ms: i64) -> Option<f64> {
        match self.state {
            PartitionState::Running => Some(0.0),
            PartitionState::Restoring => self.restore?.eta_seconds(now_ms),
        }
    }

    /// Records a second, the mean so far; unknown before the first.
    pub(super) fn restore_rate(&self, now_ms: i64) -> Option<f64> {
        match self.state {
            PartitionState::Running => Some(0.0),
            PartitionState::Restoring => self.restore?.rate(now_ms),
        }
    }

    fn note_caught_up(&mut self) {
        if let (Some(ends), Some(offset_next)) = (self.ends, self.offset_next)
            && offset_next >= ends.stable
        {
            self.caught_up_ms = self.caught_up_ms.max(Some(ends.learnt_ms));
        }
    }
}

impl Restore {
    fn remaining(&self) -> i64 {
        (self.offset_end - self.offset_next).max(0)
    }

    fn progress(&self) -> f64 {
        match self.remaining() {
            0 => 1.0,
            remaining => {
                let done = as_f64(self.offset_next - self.offset_start);
                done / (done + as_f64(remaining))
            }
        }
    }

    fn rate(&self, now_ms: i64) -> Option<f64> {
        let elapsed_ms = now_ms - self.started_ms;
        let n_records = i64::try_from(self.n_records).unwrap_or(i64::MAX);
        (elapsed_ms > 0 && n_records > 0).then(|| as_f64(n_records) / seconds(elapsed_ms))
    }

    fn eta_seconds(&self, now_ms: i64) -> Option<f64> {
        let done = self.offset_next - self.offset_start;
        let remaining = self.remaining();
        if remaining == 0 {
            return Some(0.0);
        }
        let elapsed_seconds = seconds((now_ms - self.started_ms).max(0));
        (done > 0).then(|| elapsed_seconds * as_f64(remaining) / as_f64(done))
    }
}

/// A count for a gauge, exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts and ages stay far below 2^53")]
pub(super) fn as_f64(count: i64) -> f64 {
    count as f64
}

/// Milliseconds as seconds.
pub(super) fn seconds(ms: i64) -> f64 {
    as_f64(ms) / 1_000.0
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
