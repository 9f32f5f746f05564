//! Path state: the only part of a customer that depends on the order of arrival. Latches and last
//! signals are moved by `churn`; the dedup ring by `Customer::apply`; `source` and `as_of_ms` by
//! the pipeline. It judges nothing itself.

use crate::calendar::Day;

/// What a customer's past runs left behind, beside what its events add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Alarms that are up.
    pub latches: Latches,
    /// The purchase day on which the last latch cleared.
    pub recovered_on: Option<Day>,
    /// When each kind of signal was last raised.
    pub last_signal: LastSignals,
    /// The signal of reaching high value is raised once only.
    pub high_value_reached: bool,
    /// The last event that the state includes; `None` where events come from a file.
    pub source: Option<Source>,
    /// Stream time at which the customer was last scored.
    pub as_of_ms: i64,
    /// Fingerprints of the last accepted events, oldest first.
    pub(crate) recent: Vec<u64>,
}

/// Where in Kafka an event stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Partition of the input topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

/// The alarm of each kind, if it is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latches {
    /// Silent beyond the lapse line.
    pub lapse: Option<Latch>,
    /// Orders come less often.
    pub orders: Option<Latch>,
    /// Orders are worth less.
    pub basket: Option<Latch>,
    /// Use falls.
    pub usage: Option<UsageLatch>,
}

/// An alarm that is up, with what it was measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latch {
    /// The day the alarm went up.
    pub raised_on: Day,
    /// The purchase day whose baseline the alarm keeps until it clears.
    pub baseline_on: Day,
    /// The day the channel last left 0.
    pub since: Day,
    /// What drives the fall.
    pub driver: Driver,
}

/// An alarm that use falls, with what it was measured against: the weeks themselves are not kept
/// for as long as an alarm may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageLatch {
    /// The day the alarm went up.
    pub raised_on: Day,
    /// Thousandths of a unit in a usual week before the fall; never 0.
    pub usual_thousandths: u64,
}

/// What drives a fall in spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Orders come less often.
    Frequency,
    /// Orders are worth less.
    Basket,
    /// Both at once.
    Both,
    /// Orders have stopped.
    Silence,
}

impl Driver {
    /// All drivers.
    pub const ALL: [Self; 4] = [Self::Frequency, Self::Basket, Self::Both, Self::Silence];

    /// The word in scores and signals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Frequency => "frequency",
            Self::Basket => "basket",
            Self::Both => "both",
            Self::Silence => "silence",
        }
    }
}

/// The kinds of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignalKind {
    /// Spending falls, whatever the driver.
    SpendDecline,
    /// The customer has crossed the lapse line.
    Lapse,
    /// Use falls.
    UsageDecline,
    /// A latch cleared.
    Recovered,
    /// The customer entered the highest value tier.
    HighValueReached,
}

impl SignalKind {
    /// All kinds, in the order in which [`LastSignals`] keeps them.
    pub const ALL: [Self; 5] = [
        Self::SpendDecline,
        Self::Lapse,
        Self::UsageDecline,
        Self::Recovered,
        Self::HighValueReached,
    ];

    /// The word in signals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpendDecline => "spend_decline",
            Self::Lapse => "lapse",
            Self::UsageDecline => "usage_decline",
            Self::Recovered => "recovered",
            Self::HighValueReached => "high_value_reached",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::SpendDecline => 0,
            Self::Lapse => 1,
            Self::UsageDecline => 2,
            Self::Recovered => 3,
            Self::HighValueReached => 4,
        }
    }
}

/// The day on which each kind of signal was last raised, for the cool-down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastSignals([Option<Day>; SignalKind::ALL.len()]);

impl LastSignals {
    /// When the kind was last raised.
    pub fn get(&self, kind: SignalKind) -> Option<Day> {
        self.0[kind.index()]
    }

    /// Notes that the kind was raised on `day`.
    pub fn set(&mut self, kind: SignalKind, day: Day) {
        self.0[kind.index()] = Some(day);
    }
}

impl Path {
    /// Whether the fingerprint is among those of the last accepted events.
    pub(crate) fn remembers(&self, fingerprint: u64) -> bool {
        self.recent.contains(&fingerprint)
    }

    /// Remembers the fingerprint, and forgets the oldest beyond `n_events_max`.
    pub(crate) fn remember(&mut self, fingerprint: u64, n_events_max: usize) {
        self.recent.push(fingerprint);
        let n_forgotten = self.recent.len().saturating_sub(n_events_max);
        self.recent.drain(..n_forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_signal_has_a_day_of_its_own() {
        let mut last_signal = LastSignals::default();
        for (i, kind) in (0..).zip(SignalKind::ALL) {
            assert_eq!(last_signal.get(kind), None);
            last_signal.set(kind, Day(i));
        }
        assert_eq!(SignalKind::ALL.map(|kind| last_signal.get(kind).unwrap().0), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn the_oldest_fingerprint_is_forgotten_first() {
        let mut path = Path::default();
        for fingerprint in 1..=4 {
            path.remember(fingerprint, 3);
        }
        assert_eq!([1, 2, 3, 4].map(|it| path.remembers(it)), [false, true, true, true]);
        path.remember(5, 0);
        assert!(path.recent.is_empty());
    }
}
