//! What a fit needs of a history: how many customers share each (x, `t_x`, T), and each repeat
//! spend, and what its season is told from. No likelihood and no customer's name. Filled by whoever
//! reads a history, read by the models.

use std::collections::BTreeMap;

use super::activity::Activity;
use crate::calendar::Day;
use crate::clv::{self, DAYS_PER_WEEK, NoSeason, Purchases, SEASON_PARTS};
use crate::customer::Ledger;
use crate::money::Currency;

/// Sufficient statistics of a history: the same customers give the same, in whatever order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Customers by x, `t_x` and T in days.
    purchases: BTreeMap<(u32, u32, u32), u64>,
    /// Customers by x and the bits of their mean, which sort as positive numbers do.
    spends: BTreeMap<(u32, u64), u64>,
    n_customers: u64,
    n_repeaters: u64,
    activity: Activity,
    /// The latest day as of which a customer was taken.
    today: Option<Day>,
}

impl Statistics {
    /// Takes a customer: their purchases, and the mean over their repeat days in major units, which
    /// counts where there is a repeat day and the mean is above 0.
    pub fn add(&mut self, purchases: &Purchases, repeat_mean_major: Option<f64>) {
        let Purchases { x, t_x_days, t_days } = *purchases;
        *self.purchases.entry((x, t_x_days, t_days.max(t_x_days))).or_default() += 1;
        self.n_customers += 1;
        if x == 0 {
            return;
        }
        self.n_repeaters += 1;
        let is_spend = |mean: &f64| mean.is_finite() && *mean > 0.0;
        if let Some(mean) = repeat_mean_major.filter(is_spend) {
            *self.spends.entry((x, mean.to_bits())).or_default() += 1;
        }
    }

    /// Takes a customer as of a day; one without a purchase day counts for nothing.
    pub fn take(&mut self, ledger: &Ledger, today: Day, currency: Currency) {
        let Some(purchases) = ledger.purchases(today) else { return };
        let repeat_major = major(ledger.repeat_net_minor(), currency);
        let mean = (purchases.x > 0).then(|| repeat_major / f64::from(purchases.x));
        self.add(&purchases, mean);
        self.activity.take(ledger, today);
        self.today = self.today.max(Some(today));
    }

    /// The season index of the customers that were taken with their ledgers.
    ///
    /// # Errors
    /// What they bought does not suffice for one.
    pub fn season(&self) -> Result<[f64; SEASON_PARTS], NoSeason> {
        clv::season(&self.today.map_or_else(Vec::new, |today| self.activity.days(today)))
    }

    /// The distinct histories with the customers of each.
    pub(super) fn customers(&self) -> impl Iterator<Item = (Purchases, f64)> {
        self.purchases
            .iter()
            .map(|(&(x, t_x_days, t_days), &n)| (Purchases { x, t_x_days, t_days }, count(n)))
    }

    /// Customers taken.
    pub fn n_customers(&self) -> u64 {
        self.n_customers
    }

    /// Customers with a repeat day.
    pub fn n_repeaters(&self) -> u64 {
        self.n_repeaters
    }

    /// Customers with a repeat day and a mean above 0.
    pub fn n_spenders(&self) -> u64 {
        self.spends.values().sum()
    }

    /// The distinct histories; of more than `n_max`, every so many, in ascending order.
    pub(super) fn histories(&self, n_max: usize) -> Histories {
        let stride = self.purchases.len().div_ceil(n_max).max(1);
        let chosen = self.purchases.iter().step_by(stride);
        let rows: Vec<Row> = chosen
            .map(|(&(x, t_x_days, t_days), &n)| Row {
                x: f64::from(x),
                t_x_weeks: f64::from(t_x_days) / DAYS_PER_WEEK,
                t_weeks: f64::from(t_days) / DAYS_PER_WEEK,
                n: count(n),
            })
            .collect();
        let mut reached: Vec<f64> = Vec::new();
        for (&(x, ..), &n) in self.purchases.iter().step_by(stride) {
            // Ascending by x, so the last is the length.
            reached.resize(x as usize + 1, 0.0);
            reached[x as usize] += count(n);
        }
        for i in (1..reached.len()).rev() {
            reached[i - 1] += reached[i];
        }
        Histories { rows, reached, is_whole: stride == 1 }
    }

    /// The distinct spends by x, ascending; of more than `n_max`, every so many.
    pub(super) fn spends(&self, n_max: usize) -> Vec<Spends> {
        let mut groups: Vec<Spends> = Vec::new();
        let stride = self.spends.len().div_ceil(n_max).max(1);
        for (&(x, bits), &n) in self.spends.iter().step_by(stride) {
            let x = f64::from(x);
            if groups.last().is_none_or(|group| group.x < x) {
                groups.push(Spends { x, means: Vec::new() });
            }
            if let Some(group) = groups.last_mut() {
                group.means.push((f64::from_bits(bits), count(n)));
            }
        }
        groups
    }
}

/// The distinct histories of a fit.
#[derive(Clone, Debug)]
pub(super) struct Histories {
    pub(super) rows: Vec<Row>,
    /// How many customers have at least so many repeat days; the first entry is for none.
    pub(super) reached: Vec<f64>,
    /// Whether none was left out.
    pub(super) is_whole: bool,
}

/// A history that `n` customers share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) x: f64,
    pub(super) t_x_weeks: f64,
    pub(super) t_weeks: f64,
    pub(super) n: f64,
}

/// The spends of all who have `x` repeat days: mean, and how many customers have it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spends {
    pub(super) x: f64,
    pub(super) means: Vec<(f64, f64)>,
}

#[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
fn major(minor: i128, currency: Currency) -> f64 {
    minor as f64 / currency.minor_per_major()
}

#[expect(clippy::cast_precision_loss, reason = "no history has 2^53 customers")]
fn count(n: u64) -> f64 {
    n as f64
}
