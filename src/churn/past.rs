//! The purchase days behind a customer, as far as the channels' baselines need them: how often they
//! bought up to a day, and for how much. Called by `channels`, `orders` and `basket`.

use crate::calendar::Day;
use crate::clv::{RatePrior, Season};
use crate::customer::{DayEntry, Ledger};

use super::basket::Baskets;
use super::channels::{BASELINE_LAG_DAYS, FOLD_DAYS_MAX, Parameters, minor_as_f64};

/// Purchase days, the first included, from which a lagged baseline can be judged by.
pub const BASELINE_DAYS_MIN: u32 = 3;

/// How often a customer used to buy, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Baseline {
    /// λ₀, in purchase days a week of an average season.
    pub(super) rate_weekly: f64,
    /// The purchase days behind it, the population's included: r + n. The rate is uncertain by a
    /// share of 1/√weight.
    pub(super) weight: f64,
}

impl Baseline {
    /// The baseline λ₀ = (r + n) / (α + t) of a purchase from the purchase days and the time up to
    /// 56 days before it, shrunk to the population's; `None` while those are too few.
    pub(super) fn of(n_days: u32, first: Day, lagged_on: Day, known: &Parameters) -> Option<Self> {
        if n_days < BASELINE_DAYS_MIN {
            return None;
        }
        let RatePrior { r, alpha_weeks } = known.prior;
        let weight = r + f64::from(n_days - 1);
        let weeks = weighted_days(known.season.as_ref(), first, lagged_on) / 7.0;
        Some(Self { rate_weekly: weight / (alpha_weeks + weeks), weight })
    }
}

/// Days from one day to another, each as long as its season is busy.
pub(super) fn weighted_days(season: Option<&Season>, from: Day, to: Day) -> f64 {
    season.map_or_else(|| f64::from(to.days_since(from)), |season| season.days_between(from, to))
}

/// The purchase days behind a customer.
pub(super) struct Past<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) first: Day,
    pub(super) parameters: &'a Parameters,
}

impl Past<'_> {
    /// How many of the kept purchase days are on or before this day.
    pub(super) fn n_kept_until(&self, on: Day) -> usize {
        self.ledger.days().partition_point(|entry| entry.day <= on)
    }

    /// The baseline of a purchase on this day.
    pub(super) fn baseline_of(&self, on: Day) -> Option<Baseline> {
        let lagged_on = on.plus(-BASELINE_LAG_DAYS);
        let n_days = self.ledger.n_days_until(lagged_on);
        Baseline::of(n_days, self.first, lagged_on, self.parameters)
    }

    /// The baskets of the newest purchase days up to this day.
    pub(super) fn baskets_until(&self, on: Day) -> Baskets {
        let end = self.n_kept_until(on);
        let mut baskets = Baskets::default();
        for entry in &self.ledger.days()[end.saturating_sub(FOLD_DAYS_MAX)..end] {
            if entry.day > self.first
                && let Some(minor) = basket_minor(entry)
            {
                baskets.push(minor);
            }
        }
        baskets
    }
}

/// The mean of the orders that stand on a day, in minor units; `None` where it is not positive.
pub(super) fn basket_minor(entry: &DayEntry) -> Option<f64> {
    (entry.net_minor > 0).then(|| minor_as_f64(entry.net_minor) / f64::from(entry.n_orders.max(1)))
}
