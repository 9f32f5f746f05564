//! The producer of a simulated process: a bounded queue before the broker, and the steps of a
//! commit in the order of `kafka::sink`. The engine's port is in front of it; `process` lets it
//! send in the background.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::broker::{Broker, Identity, Place, Refusal, TRANSACTION_TIMEOUT_TICKS};
use super::group::Caller;
use super::log::Sent;
use super::member::Membership;
use super::{Flaw, Shop};
use crate::engine::{Failure, Outgoing, Progress, Transactions};
use crate::metrics::{AbortCause, Phase};

/// Records that wait for the broker.
const QUEUE_MAX: usize = 12;
/// A commit without an answer for so many transaction timeouts ends the process.
const COMMIT_TIMEOUTS: u64 = 3;

/// What goes missing between a process and the broker.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missing {
    Request,
    Answer,
}

/// What is about to happen to one process.
#[derive(Debug, Default)]
pub(super) struct Harm {
    /// Calls that it still lives for.
    pub(super) fuse: Cell<Option<u64>>,
    /// Records until one is not delivered.
    pub(super) undelivered: Cell<Option<u64>>,
    /// Of the next commit.
    pub(super) missing: Cell<Option<Missing>>,
    /// It dies as it commits, and the commit arrives so much later.
    pub(super) commit_arrives_in: Cell<Option<u64>>,
    /// How long the broker takes to acknowledge a record.
    pub(super) ack_ticks: Cell<u64>,
    /// Turns that the engine's thread does not get.
    pub(super) engine_rests: Cell<u64>,
}

/// The producer of one process.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) shop: Rc<Shop>,
    pub(super) broker: Rc<RefCell<Broker>>,
    pub(super) membership: Rc<RefCell<Membership>>,
    pub(super) identity: Identity,
    pub(super) epoch: u64,
    pub(super) harm: Rc<Harm>,
    pub(super) state: State,
}

/// What the producer has under way.
#[derive(Debug, Default)]
pub(super) struct State {
    queue: VecDeque<(Place, Sent)>,
    /// A record was not delivered: the transaction can only be aborted.
    has_failed: bool,
    is_fenced: bool,
    /// With [`Flaw::UnknownIsAborted`]: a commit had no answer.
    is_in_doubt: bool,
}

fn failure(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Fenced | Refusal::Concurrent => Failure::Fatal("fenced".to_owned()),
        Refusal::Unreachable => Failure::Fatal("the broker does not answer".to_owned()),
        Refusal::StaleGeneration => {
            Failure::Abort(AbortCause::StaleGeneration, "the group has moved on".to_owned())
        }
    }
}

impl Producer {
    /// The process may die between any two calls.
    fn live(&self) -> Result<(), Failure> {
        match self.harm.fuse.get() {
            Some(0) => Err(Failure::Fatal("killed".to_owned())),
            Some(left) => {
                self.harm.fuse.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        let pid = self.membership.borrow().pid;
        self.shop.trace.note(|| format!("process {pid}: {}", what()));
    }

    /// Whether nothing waits for the broker.
    pub(super) fn is_idle(&self) -> bool {
        self.state.queue.is_empty()
    }

    /// Sends some of what waits.
    pub(super) fn pump(&mut self, n_records_max: usize) {
        for _ in 0..n_records_max {
            if self.broker.borrow().is_down() {
                return;
            }
            let Some((place, sent)) = self.state.queue.pop_front() else { return };
            if let Some(left) = self.harm.undelivered.get() {
                self.harm.undelivered.set(left.checked_sub(1));
                if left == 0 {
                    self.state.has_failed = true;
                    self.shop.count(|seen| seen.undelivered += 1);
                    self.note(|| format!("a record to {place:?} is not delivered"));
                    return;
                }
            }
            let sent = self.broker.borrow_mut().append(self.identity, self.epoch, place, sent);
            self.state.is_fenced |= sent.is_err();
        }
    }

    /// Waits out that nobody answers. Says whether it is over.
    fn is_answered(&self, budget: &mut u64) -> bool {
        let mut broker = self.broker.borrow_mut();
        while broker.is_down() && *budget > 0 {
            broker.tick();
            *budget -= 1;
        }
        !broker.is_down()
    }

    /// Asks again while nobody answers.
    fn ask<T>(
        &self,
        budget: &mut u64,
        mut call: impl FnMut(&mut Broker) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        loop {
            let answer = call(&mut self.broker.borrow_mut());
            match answer {
                Err(Refusal::Unreachable) if self.is_answered(budget) => {}
                answer => return answer,
            }
        }
    }

    /// Waits until no more than so many records are under way.
    fn drain(&mut self, budget: &mut u64, n_left: usize) -> Result<(), Failure> {
        while self.state.queue.len() > n_left {
            let ack_ticks = self.harm.ack_ticks.get();
            if !self.is_answered(budget) || *budget < ack_ticks {
                let n_left = self.state.queue.len();
                let why = format!("`{n_left}` records were not acknowledged in time");
                self.shop.count(|seen| seen.late_acknowledgements += 1);
                self.note(|| why.clone());
                return Err(Failure::Abort(AbortCause::Delivery, why));
            }
            *budget -= ack_ticks;
            self.pump(1);
        }
        match (self.state.is_fenced, self.state.has_failed) {
            (true, _) => Err(failure(Refusal::Fenced)),
            (false, true) => {
                Err(Failure::Abort(AbortCause::Delivery, "a record was not delivered".to_owned()))
            }
            (false, false) => Ok(()),
        }
    }

    fn send_offsets(&self, progress: &[Progress], budget: &mut u64) -> Result<(), Failure> {
        let is_skipped = |it: &&Progress| {
            self.shop.has(Flaw::TimersWithoutOffsets)
                && self.broker.borrow().offset_marked(it.partition) == Some(it.offset_next)
        };
        let offsets: BTreeMap<i32, i64> = progress
            .iter()
            .filter(|it| !is_skipped(it))
            .map(|it| (it.partition, it.offset_next))
            .collect();
        if offsets.is_empty() {
            return Ok(());
        }
        if self.shop.has(Flaw::OffsetsOutside) {
            self.broker.borrow_mut().commit_offsets(&offsets);
        }
        let is_nobody = self.shop.has(Flaw::StaleGeneration);
        let answer = self.ask(budget, |broker| {
            let membership = self.membership.borrow();
            let caller = Caller {
                pid: membership.pid,
                generation: membership.generation.filter(|_| !is_nobody),
                is_static: broker.group.protocol.is_static && !is_nobody,
            };
            broker.send_offsets(self.identity, self.epoch, caller, &offsets)
        });
        if answer == Err(Refusal::Unreachable) {
            let why = "the offsets had no answer".to_owned();
            return Err(Failure::Abort(AbortCause::Offsets, why));
        }
        answer.map_err(failure)
    }

    /// After the metadata was taken, as in `kafka::sink`.
    fn check_ownership(&self, progress: &[Progress]) -> Result<(), Failure> {
        let membership = self.membership.borrow();
        if membership.is_lost && !self.shop.has(Flaw::CommitOnLost) {
            let why = "the group has given this member's partitions away".to_owned();
            return Err(Failure::Abort(AbortCause::AssignmentLost, why));
        }
        let is_gone = |it: &&Progress| membership.owned.get(&it.partition) != Some(&it.epoch);
        match progress.iter().find(is_gone).filter(|_| !self.shop.has(Flaw::OwnershipNotChecked)) {
            None => Ok(()),
            Some(Progress { partition, .. }) => {
                let why = format!("partition `{partition}` was taken away meanwhile");
                Err(Failure::Abort(AbortCause::RevokeBudget, why))
            }
        }
    }

    /// Only the broker knows the outcome now: asking again is right, giving up is not.
    fn end(&mut self) -> Result<(), Failure> {
        if let Some(delay) = self.harm.commit_arrives_in.take() {
            self.broker.borrow_mut().end_late(self.identity, self.epoch, delay);
            self.shop.count(|seen| seen.unanswered += 1);
            self.harm.fuse.set(Some(0));
            return Err(Failure::Fatal("killed".to_owned()));
        }
        if let Some(missing) = self.harm.missing.take() {
            self.note(|| format!("commits, but the {missing:?} goes missing"));
            self.shop.count(|seen| seen.unanswered += 1);
            if matches!(missing, Missing::Answer) {
                self.broker.borrow_mut().end(self.identity, self.epoch, true).ok();
            }
            if self.shop.has(Flaw::UnknownIsAborted) {
                self.state.is_in_doubt = true;
                return Err(Failure::Abort(AbortCause::Commit, "no answer".to_owned()));
            }
            self.live()?;
        }
        let mut budget = TRANSACTION_TIMEOUT_TICKS * COMMIT_TIMEOUTS;
        let (identity, epoch) = (self.identity, self.epoch);
        self.ask(&mut budget, |broker| broker.end(identity, epoch, true)).map_err(failure)?;
        // The broker has decided; the process may die before it hears of that.
        self.live()
    }

    fn commit(&mut self, progress: &[Progress], budget_ms: u64) -> Result<(), Failure> {
        self.live()?;
        let mut budget = budget_ms.min(TRANSACTION_TIMEOUT_TICKS);
        if self.shop.has(Flaw::NoDrain) {
            self.state.queue.clear();
        }
        self.drain(&mut budget, 0)?;
        self.send_offsets(progress, &mut budget)?;
        self.check_ownership(progress)?;
        self.live()?;
        self.note(|| {
            let offsets = progress.iter().map(|it| (it.partition, it.offset_next));
            format!("commits up to {:?}", offsets.collect::<BTreeMap<_, _>>())
        });
        self.end()
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.live()?;
        let State { queue, has_failed, is_in_doubt, .. } = &mut self.state;
        queue.clear();
        *has_failed = false;
        if std::mem::take(is_in_doubt) {
            return Ok(());
        }
        self.note(|| "aborts".to_owned());
        let mut budget = TRANSACTION_TIMEOUT_TICKS * COMMIT_TIMEOUTS;
        let (identity, epoch) = (self.identity, self.epoch);
        self.ask(&mut budget, |broker| broker.end(identity, epoch, false)).map_err(failure)
    }
}

/// What the engine sees of the producer.
#[derive(Debug)]
pub(super) struct Port(pub(super) Rc<RefCell<Producer>>);

impl Transactions for Port {
    fn begin(&mut self) -> Result<(), Failure> {
        let producer = self.0.borrow();
        producer.live()?;
        let mut budget = TRANSACTION_TIMEOUT_TICKS;
        let (identity, epoch) = (producer.identity, producer.epoch);
        let begun = producer.ask(&mut budget, |broker| broker.begin(identity, epoch));
        let transaction = begun.map_err(failure)?;
        producer.note(|| format!("begins transaction {transaction}"));
        Ok(())
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let mut producer = self.0.borrow_mut();
        producer.live()?;
        let Outgoing { topic, partition, key, value, headers } = outgoing;
        let sent = (key.unwrap_or_default().to_vec(), value.map(<[u8]>::to_vec), headers.to_vec());
        // As much room as one record needs.
        producer.drain(&mut { TRANSACTION_TIMEOUT_TICKS }, QUEUE_MAX - 1)?;
        producer.state.queue.push_back(((topic, partition.unwrap_or(0)), sent));
        Ok(())
    }

    fn commit(&mut self, progress: &[Progress], budget_ms: u64) -> Result<(), Failure> {
        let mut producer = self.0.borrow_mut();
        let outcome = producer.commit(progress, budget_ms);
        match outcome {
            Err(Failure::Abort(..)) if producer.shop.has(Flaw::ApplyBeforeCommit) => {
                producer.abort()
            }
            outcome => outcome,
        }
    }

    fn mark(&mut self, _ended: Option<Phase>) {}

    fn abort(&mut self) -> Result<(), Failure> {
        self.0.borrow_mut().abort()
    }
}
