//! The two channels of evidence that a customer spends less: how often they order, and how much.
//! Each is one function of the day ledger and the day, so that no detector state is kept and the
//! order of arrival cannot matter. Raises nothing. Called by `reading`.
//!
//! Both are cumulative sums of log-likelihood ratios, "the mean has fallen by about half" against
//! "it is as it was" (Page 1954): of Poisson counts for orders, of gamma amounts for baskets. "As
//! it was" is the customer's own past up to 56 days before each purchase, so that a decline does
//! not become its own yardstick; while an alarm stands, the yardstick stays the one that raised it.

use crate::calendar::Day;
use crate::clv::{Model, RatePrior, Season};
use crate::customer::Ledger;
use crate::money::Currency;

use super::basket::Basket;
use super::orders::Orders;
use super::past::{Baseline, Past, basket_minor};
use super::settings::Settings;
use super::thresholds::{THRESHOLD_MIN, Thresholds};

/// How far the baseline stays behind the purchase that is judged by it, in days.
pub const BASELINE_LAG_DAYS: i32 = 56;

/// The channels are folded over this many newest purchase days; older ones count in the rates only.
pub(super) const FOLD_DAYS_MAX: usize = 256;

/// Gamma shape of the baskets of one customer without a model: a coefficient of variation of 0.6.
pub(super) const BASKET_SHAPE_DEFAULT: f64 = 2.78;

/// One channel on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// The evidence: 0 for none, at most the threshold.
    pub value: f64,
    /// Where it is an alarm; infinite while there is no baseline.
    pub threshold: f64,
    /// The day on which the evidence last left 0; `None` while it is 0.
    pub since: Option<Day>,
    /// Orders only: the first day on which silence alone brings the evidence to the threshold.
    pub crosses_on: Option<Day>,
    /// The purchase day whose baseline is in force.
    pub baseline_on: Day,
}

impl Channel {
    /// Whether the evidence is an alarm.
    pub fn is_crossed(&self) -> bool {
        self.value >= self.threshold
    }

    /// Whether the evidence is so weak that an alarm clears.
    pub fn is_under_half(&self) -> bool {
        self.value < self.clears_below()
    }

    /// Evidence below this clears an alarm at a purchase.
    pub fn clears_below(&self) -> f64 {
        self.threshold / 2.0
    }

    /// Whether the evidence supports an alarm of the other channel.
    pub fn is_above_half(&self) -> bool {
        self.value > self.threshold / 2.0
    }
}

/// Both channels on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channels {
    /// How often.
    pub orders: Channel,
    /// How much an order.
    pub basket: Channel,
    /// Purchase days at least 56 days ago, the first included.
    pub n_baseline_days: u32,
    /// Purchase days a week of an average season by which the orders are judged; `None` while there
    /// is no baseline.
    pub rate_weekly: Option<f64>,
    /// The mean basket by which baskets are judged, in minor units; `None` while there is none.
    pub basket_mean_minor: Option<f64>,
}

/// What the channels need of the configuration and the model.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub(super) prior: RatePrior,
    /// The season index; `None` where every week is alike.
    pub(super) season: Option<Season>,
    /// Gamma shape of one customer's baskets, κ.
    pub(super) basket_shape: f64,
    /// Logarithm of the population's mean basket in minor units; `None` without a spend model.
    pub(super) ln_population_basket: Option<f64>,
    pub(super) thresholds: Thresholds,
}

impl Parameters {
    pub(super) fn new(settings: &Settings, model: Option<&Model>, currency: Currency) -> Self {
        let population_minor = model
            .and_then(Model::population_mean_value)
            .map(|major| major * currency.minor_per_major())
            .filter(|minor| *minor > 0.0);
        Self {
            prior: model.map_or(settings.prior, Model::rate_prior),
            season: model.and_then(Model::season).copied(),
            basket_shape: model.and_then(Model::basket_shape).unwrap_or(BASKET_SHAPE_DEFAULT),
            ln_population_basket: population_minor.map(libm::log),
            thresholds: Thresholds::new(settings.false_alarms_per_customer_year),
        }
    }
}

/// The purchase days whose baselines are frozen by standing alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frozen {
    pub(super) orders: Option<Day>,
    pub(super) basket: Option<Day>,
}

/// Both channels on `today`; `None` without a purchase day.
pub(super) fn channels(
    ledger: &Ledger,
    today: Day,
    frozen: Frozen,
    parameters: &Parameters,
) -> Option<Channels> {
    let days = ledger.days();
    let past = Past { ledger, first: ledger.first_day()?, parameters };
    let start = days.len().saturating_sub(FOLD_DAYS_MAX);
    let begin = days.get(start)?.day;
    let mut orders = Orders::new(begin).frozen(frozen.orders, &past);
    let mut basket = Basket::new(begin).frozen(frozen.basket, &past);
    let mut n_lagged = past.n_kept_until(begin.plus(-BASELINE_LAG_DAYS));
    let n_folded = ledger.n_folded();
    for entry in &days[start..] {
        let lagged_on = entry.day.plus(-BASELINE_LAG_DAYS);
        while days[n_lagged].day <= lagged_on {
            n_lagged += 1;
        }
        let n_days = n_folded.saturating_add(count(n_lagged));
        let baseline = Baseline::of(n_days, past.first, lagged_on, parameters);
        orders.purchase(entry.day, baseline, parameters);
        if entry.day > past.first
            && let Some(minor) = basket_minor(entry)
        {
            basket.purchase(entry.day, minor, baseline, parameters);
        }
    }
    Some(Channels {
        orders: orders.on(today, parameters),
        basket: basket.channel(parameters),
        n_baseline_days: ledger.n_days_until(today.plus(-BASELINE_LAG_DAYS)),
        rate_weekly: orders.baseline.map(|baseline| baseline.rate_weekly),
        basket_mean_minor: basket.mean_minor(),
    })
}

/// Money for ratios and estimates.
#[expect(clippy::cast_precision_loss, reason = "an estimate; money itself stays in integers")]
pub(super) fn minor_as_f64(minor: i128) -> f64 {
    minor as f64
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A cumulative sum held at its threshold, so that a returned customer clears in a few orders. The
/// threshold is looked up only where it can bind.
pub(super) fn capped(level: f64, threshold: impl FnOnce() -> f64) -> f64 {
    if level > THRESHOLD_MIN { level.min(threshold()) } else { level.max(0.0) }
}

/// A channel without a baseline.
pub(super) fn no_evidence(baseline_on: Day) -> Channel {
    Channel { value: 0.0, threshold: f64::INFINITY, since: None, crosses_on: None, baseline_on }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
