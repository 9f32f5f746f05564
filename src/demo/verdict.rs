//! Signals against what was planted: who was found and how soon, who was missed and why, and how
//! often a loyal customer was called a churner. It judges what a consumer of the signals sees and
//! knows nothing of the engine. Called by the `demo` command.

use std::collections::BTreeMap;

use crate::calendar::Day;
use crate::customer::{Driver, SignalKind};
use crate::money::Currency;

use super::shop::{BASELINE_DAYS_MIN, Change, Loyal, Planted, Truth};
use super::summary;

/// A change within so many days of the end counts as too recent, if it is not found: in 13 weeks
/// even half of those who stop are hardly found.
pub(super) const RECENT_DAYS: i32 = 91;
/// How many of those who are leaving are named.
const N_LEAVING_MAX: usize = 8;
/// Days in a year of the Gregorian calendar.
const YEAR_DAYS: f64 = 365.2425;

/// A signal as read from the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The customer.
    pub customer_id: String,
    /// What was raised.
    pub kind: SignalKind,
    /// What drives a decline.
    pub driver: Option<Driver>,
    /// The day on which it was raised.
    pub raised_on: Day,
    /// The money at stake in major units.
    pub value_at_risk: Option<f64>,
    /// The evidence in one sentence.
    pub sentence: String,
}

/// What the processor and the shop counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Records of the input topic, whatever came of them.
    pub n_events: u64,
    /// Of these, how many were refused.
    pub n_rejected: u64,
    /// Customers with a score.
    pub n_customers: u64,
    /// Net revenue of all customers as the processor has it, in minor units.
    pub net_minor: i128,
    /// The sum of [`Record::books_minor`](super::shop::Record::books_minor) of the records sent.
    pub books_minor: i128,
    /// The currency of both.
    pub currency: Currency,
}

/// Why a planted change was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missed {
    /// Too few purchases before the change to know what is usual.
    TooRare,
    /// An alarm from before the change was up, so that none was raised again.
    AlreadyUp,
    /// The change is too young.
    TooRecent,
    /// The evidence is not strong enough yet.
    UnderThreshold,
}

impl Missed {
    /// All reasons; the first that holds is given.
    pub const ALL: [Self; 4] =
        [Self::TooRare, Self::AlreadyUp, Self::TooRecent, Self::UnderThreshold];
}

/// How one kind of change fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Fared {
    /// The kind.
    pub kind: Change,
    /// How many customers have it, changed yet or not.
    pub n_planted: usize,
    /// Days from the change to the signal of those who were found, ascending.
    pub found_days: Vec<i32>,
    /// How many of these were given a right reason.
    pub n_reason_right: usize,
    /// The reasons given, with how often.
    pub named: BTreeMap<&'static str, usize>,
    /// Those who were not found, by reason: the figure that shows it, ascending. Purchase days in
    /// the baseline, days since the alarm before the change, days since the change, or orders that
    /// the change has touched so far.
    pub missed: BTreeMap<Missed, Vec<f64>>,
}

impl Fared {
    /// Customers whose change has begun and was not found.
    pub fn n_missed(&self) -> usize {
        self.missed.values().map(Vec::len).sum()
    }

    /// The median of the days to find, if any was found.
    pub fn median_days(&self) -> Option<f64> {
        let (low, high) = (self.found_days.len().checked_sub(1)? / 2, self.found_days.len() / 2);
        Some(f64::midpoint(f64::from(self.found_days[low]), f64::from(self.found_days[high])))
    }
}

/// What was raised about loyal customers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FalseAlarms {
    /// How many loyal customers there are.
    pub n_loyal: usize,
    /// Declines of spending that were raised about them.
    pub n_declines: usize,
    /// Lapses that were raised about them.
    pub n_lapses: usize,
    /// The years over which they had enough of a past to be judged.
    pub customer_years: f64,
}

/// A customer who is leaving by what was raised last.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// The signal.
    pub signal: Seen,
    /// What is planted in the customer; `None` for a loyal one.
    pub planted: Option<Change>,
}

/// The verdict on a demo.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The last day of the story that was played.
    pub as_of: Day,
    /// What was counted.
    pub totals: Totals,
    /// How each kind of change fared, in the order of [`Change::ALL`].
    pub fared: Vec<Fared>,
    /// What was raised for nothing.
    pub false_alarms: FalseAlarms,
    /// Who is leaving, by value at risk; the first few.
    pub leaving: Vec<Leaving>,
}

impl Verdict {
    /// Judges the signals, given in the order in which they were raised, up to the day `as_of`.
    pub fn new(truth: &Truth, seen: &[Seen], totals: Totals, as_of: Day) -> Self {
        let mut by_customer: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
        for signal in seen {
            by_customer.entry(&signal.customer_id).or_default().push(signal);
        }
        let signals = |customer_id: &str| by_customer.get(customer_id).map_or(&[][..], |it| it);
        let fared = Change::ALL.map(|kind| {
            let planted = truth.planted.iter().filter(|planted| planted.kind == kind);
            fared(kind, planted.map(|planted| (planted, signals(&planted.customer_id))), as_of)
        });
        let loyal = truth.loyal.iter().map(|loyal| (loyal, signals(&loyal.customer_id)));
        Self {
            as_of,
            totals,
            fared: fared.into(),
            false_alarms: false_alarms(loyal, as_of),
            leaving: leaving(truth, &by_customer),
        }
    }

    /// The summary as a plain text table.
    pub fn table(&self) -> String {
        summary::table(self)
    }
}

fn fared<'a>(
    kind: Change,
    planted: impl Iterator<Item = (&'a Planted, &'a [&'a Seen])>,
    as_of: Day,
) -> Fared {
    let mut fared = Fared {
        kind,
        n_planted: 0,
        found_days: Vec::new(),
        n_reason_right: 0,
        named: BTreeMap::new(),
        missed: BTreeMap::new(),
    };
    for (planted, signals) in planted {
        fared.n_planted += 1;
        if planted.changed_on > as_of {
            continue;
        }
        let found = signals
            .iter()
            .find(|signal| signal.raised_on >= planted.changed_on && finds(kind, signal.kind));
        if let Some(signal) = found {
            fared.found_days.push(signal.raised_on.days_since(planted.changed_on));
            fared.n_reason_right += usize::from(is_right(kind, signal));
            *fared.named.entry(named(signal)).or_default() += 1;
        } else {
            let (reason, figure) = why_missed(planted, signals, as_of);
            fared.missed.entry(reason).or_default().push(figure);
        }
    }
    fared.found_days.sort_unstable();
    fared.missed.values_mut().for_each(|figures| figures.sort_by(f64::total_cmp));
    fared
}

/// Whether a signal of this kind finds the change. Whoever buys half is not gone: calling them
/// lapsed does not count.
fn finds(change: Change, kind: SignalKind) -> bool {
    kind == SignalKind::SpendDecline || kind == SignalKind::Lapse && change == Change::Stops
}

/// The reason that a signal gives, in a word.
fn named(signal: &Seen) -> &'static str {
    signal.driver.map_or(signal.kind.as_str(), Driver::as_str)
}

/// Whether the reason is right: fewer orders, or smaller ones.
fn is_right(change: Change, signal: &Seen) -> bool {
    let by_basket = signal.driver == Some(Driver::Basket);
    match change {
        Change::Stops | Change::OrdersHalved => !by_basket,
        Change::BasketsHalved => by_basket || signal.driver == Some(Driver::Both),
    }
}

fn why_missed(planted: &Planted, signals: &[&Seen], as_of: Day) -> (Missed, f64) {
    let n_baseline_days = planted.n_baseline_days;
    if n_baseline_days < BASELINE_DAYS_MIN {
        let n_days = u32::try_from(n_baseline_days).expect("below the least baseline");
        return (Missed::TooRare, f64::from(n_days));
    }
    let before = signals.iter().rev().find(|signal| {
        let is_latch = matches!(signal.kind, SignalKind::SpendDecline | SignalKind::Recovered);
        is_latch && signal.raised_on < planted.changed_on
    });
    if let Some(alarm) = before.filter(|signal| signal.kind == SignalKind::SpendDecline) {
        let n_days = planted.changed_on.days_since(alarm.raised_on);
        return (Missed::AlreadyUp, f64::from(n_days));
    }
    let n_days = as_of.days_since(planted.changed_on);
    if n_days < RECENT_DAYS {
        return (Missed::TooRecent, f64::from(n_days));
    }
    let n_orders = planted.orders_per_week * f64::from(n_days) / 7.0;
    let touched = if planted.kind == Change::OrdersHalved { n_orders / 2.0 } else { n_orders };
    (Missed::UnderThreshold, touched)
}

fn false_alarms<'a>(
    loyal: impl Iterator<Item = (&'a Loyal, &'a [&'a Seen])>,
    as_of: Day,
) -> FalseAlarms {
    let mut alarms = FalseAlarms::default();
    for (loyal, signals) in loyal {
        alarms.n_loyal += 1;
        let n_of = |kind| signals.iter().filter(|signal| signal.kind == kind).count();
        alarms.n_declines += n_of(SignalKind::SpendDecline);
        alarms.n_lapses += n_of(SignalKind::Lapse);
        let judged_days = loyal.judged_from.map_or(0, |from| as_of.days_since(from).max(0));
        alarms.customer_years += f64::from(judged_days) / YEAR_DAYS;
    }
    alarms
}

/// Customers whose last word is a decline or a lapse, by value at risk.
fn leaving(truth: &Truth, by_customer: &BTreeMap<&str, Vec<&Seen>>) -> Vec<Leaving> {
    let planted: BTreeMap<&str, Change> =
        truth.planted.iter().map(|planted| (&*planted.customer_id, planted.kind)).collect();
    let last_word = |signals: &Vec<&Seen>| {
        let mut words = signals.iter().rev().filter(|signal| {
            let kinds = [SignalKind::SpendDecline, SignalKind::Lapse, SignalKind::Recovered];
            kinds.contains(&signal.kind)
        });
        words.next().filter(|signal| signal.kind != SignalKind::Recovered).map(|it| (*it).clone())
    };
    let mut leaving: Vec<Leaving> = by_customer
        .values()
        .filter_map(last_word)
        .map(|signal| Leaving { planted: planted.get(&*signal.customer_id).copied(), signal })
        .collect();
    let at_risk = |it: &Leaving| it.signal.value_at_risk.unwrap_or_default();
    // Stable, so that equal values stay in the order of the customers.
    leaving.sort_by(|one, other| at_risk(other).total_cmp(&at_risk(one)));
    leaving.truncate(N_LEAVING_MAX);
    leaving
}
