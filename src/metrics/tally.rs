//! What one transaction counts, kept by the engine beside the staged customers and added to the
//! counters only after the commit: an aborted transaction's events are read again, and must not be
//! counted twice. Plain integers: one addition an event, no atomics, no locks.

use super::label::{By, SignalLabel, Transition};
use crate::churn::{Cause, Lifecycle, SignalKind};
use crate::customer::Driver;
use crate::event::{Kind, Reason};
use crate::population::{Changes, Share};

/// The counts of one transaction; drop it when the transaction aborts.
#[derive(Debug)]
pub struct Tally {
    pub(super) events: By<Kind, u64>,
    pub(super) rejections: By<Reason, u64>,
    pub(super) signals: By<SignalLabel, u64>,
    pub(super) scores: By<Cause, u64>,
    pub(super) transitions: By<Transition, u64>,
    pub(super) n_duplicates: u64,
    pub(super) n_erased: u64,
    pub(super) n_dead_letters: u64,
    pub(super) n_timers_fired: u64,
    pub(super) population: Changes,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self {
            events: By::new(|_| 0),
            rejections: By::new(|_| 0),
            signals: By::new(|_| 0),
            scores: By::new(|_| 0),
            transitions: By::new(|_| 0),
            n_duplicates: 0,
            n_erased: 0,
            n_dead_letters: 0,
            n_timers_fired: 0,
            population: Changes::default(),
        }
    }

    /// An event changed its customer.
    pub fn event(&mut self, kind: Kind) {
        *self.events.get_mut(kind) += 1;
    }

    /// An input was refused.
    pub fn rejection(&mut self, reason: Reason) {
        *self.rejections.get_mut(reason) += 1;
    }

    /// A refused input was staged for the dead-letter topic.
    pub fn dead_letter(&mut self) {
        self.n_dead_letters += 1;
    }

    /// An event was recognised as one already counted.
    pub fn duplicate(&mut self) {
        self.n_duplicates += 1;
    }

    /// An event dated before its customer's erasure was dropped.
    pub fn erased(&mut self) {
        self.n_erased += 1;
    }

    /// A timer's day had come and its customer was judged.
    pub fn timer_fired(&mut self) {
        self.n_timers_fired += 1;
    }

    /// A score was staged for the scores topic.
    pub fn score(&mut self, cause: Cause) {
        *self.scores.get_mut(cause) += 1;
    }

    /// A signal was staged for the signals topic.
    pub fn signal(&mut self, kind: SignalKind, driver: Option<Driver>) {
        *self.signals.get_mut(SignalLabel { kind, driver }) += 1;
    }

    /// A customer's lifecycle was judged `to` after `from`; equal ones are not counted.
    pub fn lifecycle(&mut self, from: Lifecycle, to: Lifecycle) {
        if let Some(transition) = Transition::new(from, to) {
            *self.transitions.get_mut(transition) += 1;
        }
    }

    /// A customer counts with another share than before; `None` is one who is not known, or not
    /// any more.
    pub fn population(&mut self, before: Option<&Share>, after: Option<&Share>) {
        self.population.take(before, after);
    }

    /// The inputs consumed: accepted, refused, duplicate and erased ones.
    pub fn n_inputs(&self) -> u64 {
        let sum = |values: &[u64]| values.iter().sum::<u64>();
        sum(self.events.values())
            + sum(self.rejections.values())
            + self.n_duplicates
            + self.n_erased
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}
