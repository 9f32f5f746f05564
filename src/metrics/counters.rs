//! The counters that a committed [`Tally`] is added to. Every series exists from the start, so that
//! a rate over it is right from its first increment. Made and called by `Metrics` only.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::label::{By, Label, SignalLabel, Transition};
use super::{Tally, register};
use crate::churn::Cause;
use crate::event::{Kind, Reason};

/// A counter for every member of a closed set of label values.
pub(super) type CounterBy<L> = By<L, IntCounter>;

/// Registers one counter with a series for every member of `L`.
pub(super) fn counter_by<L: Label>(registry: &Registry, name: &str, help: &str) -> CounterBy<L> {
    let vec = IntCounterVec::new(Opts::new(name, help), L::NAMES)
        .expect("names and labels are constants that a test has seen registered");
    register(registry, vec.clone());
    By::new(|member: L| vec.with_label_values(&member.texts()))
}

/// Registers one counter without labels.
pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter =
        IntCounter::new(name, help).expect("names are constants that a test has seen registered");
    register(registry, counter.clone());
    counter
}

#[derive(Debug)]
pub(super) struct Counters {
    events: CounterBy<Kind>,
    rejections: CounterBy<Reason>,
    signals: CounterBy<SignalLabel>,
    scores: CounterBy<Cause>,
    transitions: CounterBy<Transition>,
    duplicates: IntCounter,
    erased: IntCounter,
    dead_letters: IntCounter,
    timers_fired: IntCounter,
}

impl Counters {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            events: counter_by(
                registry,
                "lifetide_events_total",
                "Accepted events that changed their customer, by type.",
            ),
            rejections: counter_by(
                registry,
                "lifetide_rejections_total",
                "Inputs refused, by reason.",
            ),
            signals: counter_by(
                registry,
                "lifetide_signals_total",
                "Signals published, by kind and by what drove them.",
            ),
            scores: counter_by(
                registry,
                "lifetide_scores_total",
                "Scores published, by what caused them.",
            ),
            transitions: counter_by(
                registry,
                "lifetide_lifecycle_transitions_total",
                "Customers who moved from one lifecycle to another.",
            ),
            duplicates: counter(
                registry,
                "lifetide_duplicates_total",
                "Events recognised as already counted; they change and write nothing.",
            ),
            erased: counter(
                registry,
                "lifetide_erased_events_total",
                "Events dropped because they are dated before their customer's erasure.",
            ),
            dead_letters: counter(
                registry,
                "lifetide_dead_letters_total",
                "Refused inputs written to the dead-letter topic.",
            ),
            timers_fired: counter(
                registry,
                "lifetide_timers_fired_total",
                "Timers fired: customers judged because silence alone may change the answer.",
            ),
        }
    }

    pub(super) fn add(&self, tally: &Tally) {
        add_by(&self.events, &tally.events);
        add_by(&self.rejections, &tally.rejections);
        add_by(&self.signals, &tally.signals);
        add_by(&self.scores, &tally.scores);
        add_by(&self.transitions, &tally.transitions);
        self.duplicates.inc_by(tally.n_duplicates);
        self.erased.inc_by(tally.n_erased);
        self.dead_letters.inc_by(tally.n_dead_letters);
        self.timers_fired.inc_by(tally.n_timers_fired);
    }

    /// Accepted events.
    pub(super) fn n_events(&self) -> u64 {
        self.events.values().iter().map(IntCounter::get).sum()
    }

    /// Signals published.
    pub(super) fn n_signals(&self) -> u64 {
        self.signals.values().iter().map(IntCounter::get).sum()
    }

    /// Refused events.
    pub(super) fn n_rejections(&self) -> u64 {
        self.rejections.values().iter().map(IntCounter::get).sum()
    }

    /// The inputs consumed by committed transactions.
    pub(super) fn n_inputs(&self) -> u64 {
        self.n_events() + self.n_rejections() + self.duplicates.get() + self.erased.get()
    }
}

fn add_by<L: Label>(counters: &CounterBy<L>, counts: &By<L, u64>) {
    for (counter, &count) in counters.values().iter().zip(counts.values()) {
        if count > 0 {
            counter.inc_by(count);
        }
    }
}
