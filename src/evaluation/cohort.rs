//! The customers of an evaluation: what was known of each at the end of the split day, and what
//! each did afterwards. The two sides meet nowhere but in their order. Filled by
//! `commands::evaluate`, read by this module.

use std::collections::BTreeMap;

use super::Question;
use crate::clv::Purchases;
use crate::customer::Ledger;
use crate::money::Currency;

/// Spend of this many days before the split is recent: eight weeks, as in a score's `trend`.
pub const RECENT_DAYS: u32 = 56;

/// A gap between purchase days is long that nine of ten do not exceed.
const GAP_QUANTILE: f64 = 0.9;

/// What was known of a customer at the end of the split day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Frequency, recency and age.
    pub purchases: Purchases,
    /// What all purchase days brought, the first included, in major units.
    pub net_major: f64,
    /// The mean over the repeat days, in major units; 0 without one.
    pub repeat_mean_major: f64,
    /// What the last [`RECENT_DAYS`] brought, in major units.
    pub recent_major: f64,
    /// The 90 % quantile of the days between purchase days; absent without a repeat day.
    pub long_gap_days: Option<f64>,
}

/// What a customer did after the split, up to the end of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Became {
    /// Purchase days.
    pub n_days: u32,
    /// What they brought, net, in major units.
    pub net_major: f64,
}

/// The customers, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub struct Cohort {
    pub(super) known: Vec<Known>,
    pub(super) became: Vec<Became>,
    /// All gaps between purchase days up to the split: how many are of so many days.
    gaps: BTreeMap<u32, u64>,
}

impl Cohort {
    /// Takes a customer by the ledger at the end of the split day and the one at the end of the
    /// window; `false` for one who had no purchase day then. An absent second ledger is that of a
    /// customer who was erased since: nothing came after.
    pub fn take(
        &mut self,
        before: &Ledger,
        after: Option<&Ledger>,
        question: Question,
        currency: Currency,
    ) -> bool {
        let Some(purchases) = before.purchases(question.split) else { return false };
        let gaps = gaps(before);
        for gap in &gaps {
            *self.gaps.entry(*gap).or_default() += 1;
        }
        let recent = before.days().iter().filter(|entry| {
            let age_days = question.split.days_since(entry.day);
            u32::try_from(age_days).is_ok_and(|age_days| age_days < RECENT_DAYS)
        });
        let repeat_major = major(before.repeat_net_minor(), currency);
        self.known.push(Known {
            purchases,
            net_major: major(before.net_minor(), currency),
            repeat_mean_major: match purchases.x {
                0 => 0.0,
                x => repeat_major / f64::from(x),
            },
            recent_major: major(recent.map(|entry| entry.net_minor).sum(), currency),
            long_gap_days: quantile(&gaps.iter().map(|gap| (*gap, 1)), GAP_QUANTILE),
        });
        self.became.push(
            after.map_or_else(Became::default, |after| became(before, after, question, currency)),
        );
        true
    }

    /// Customers taken.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What was known, in the order in which the customers were taken.
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// What came of them, in the same order.
    pub fn became(&self) -> &[Became] {
        &self.became
    }

    /// The 90 % quantile over the gaps of all customers; absent when nobody has one.
    pub(super) fn long_gap_days(&self) -> Option<f64> {
        quantile(&self.gaps.iter().map(|(gap, n)| (*gap, *n)), GAP_QUANTILE)
    }
}

/// What the purchase days after the split brought: as the later ledger has them, so that a refund
/// counts against the day of its order, and that of an earlier order against none.
fn became(before: &Ledger, after: &Ledger, question: Question, currency: Currency) -> Became {
    let in_window = after.days().iter().filter(|entry| entry.day > question.split);
    let (mut n_days, mut net_minor) = (0_u32, 0_i128);
    for entry in in_window {
        n_days += 1;
        net_minor += entry.net_minor;
    }
    // Of a window so long that its first days are folded, the sums before it are taken off.
    let kept_from = after.days().first().map(|entry| entry.day);
    if after.n_folded() > 0 && kept_from.is_some_and(|day| day > question.split) {
        n_days = after.n_days().saturating_sub(before.n_days());
        net_minor = after.net_minor() - before.net_minor();
    }
    Became { n_days, net_major: major(net_minor, currency) }
}

/// The days between purchase days that are kept one by one.
fn gaps(ledger: &Ledger) -> Vec<u32> {
    let pairs = ledger.days().windows(2);
    let days = pairs.map(|pair| pair[1].day.days_since(pair[0].day));
    let mut gaps: Vec<u32> = days.map(|days| u32::try_from(days).unwrap_or(0)).collect();
    gaps.sort_unstable();
    gaps
}

/// The quantile of ascending values with their counts, straight between neighbours (type 7 of
/// Hyndman and Fan 1996); `None` without a value.
fn quantile(values: &(impl Iterator<Item = (u32, u64)> + Clone), share: f64) -> Option<f64> {
    let n_values: u64 = values.clone().map(|(_, n)| n).sum();
    let place = share * count(n_values.checked_sub(1)?);
    let at = |place: f64| {
        let mut n_below = 0.0;
        values.clone().find_map(|(value, n)| {
            n_below += count(n);
            (n_below > place).then(|| f64::from(value))
        })
    };
    let (low, high) = (at(place.floor())?, at(place.ceil())?);
    Some(low + (high - low) * (place - place.floor()))
}

#[expect(clippy::cast_precision_loss, reason = "no history has 2^53 purchase days")]
fn count(n: u64) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
fn major(minor: i128, currency: Currency) -> f64 {
    minor as f64 / currency.minor_per_major()
}
