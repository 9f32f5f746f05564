//! The two channels of evidence that a customer spends less: how often they order, and how much.
//! Each is one function of the day ledger and the day, so that no detector state is kept and the
//! order of arrival cannot matter. Raises nothing. Called by `reading`.
//!
//! Both are cumulative sums of log-likelihood ratios, "the mean has halved" against "it is as it
//! was" (Page 1954): of Poisson counts for orders, of gamma amounts for baskets. "As it was" is the
//! customer's own past up to 56 days before each purchase, so that a decline does not become its
//! own yardstick; while an alarm stands, the yardstick stays the one that raised it.

use crate::calendar::Day;
use crate::clv::{Model, RatePrior};
use crate::customer::{DayEntry, Ledger};
use crate::money::Currency;

use super::basket::{Basket, Baskets};
use super::orders::Orders;
use super::settings::Settings;
use super::thresholds::Thresholds;

/// How far the baseline stays behind the purchase that is judged by it, in days.
pub const BASELINE_LAG_DAYS: i32 = 56;

/// The weight of one order against a halved rate, ln(λ₀ / λ₁).
pub(super) const LN_2: f64 = std::f64::consts::LN_2;

/// The channels are folded over this many newest purchase days; older ones count in the rates only.
const FOLD_DAYS_MAX: usize = 256;

/// Purchase days, the first included, from which a lagged baseline can be judged by.
const BASELINE_DAYS_MIN: u32 = 3;

/// Gamma shape of the baskets of one customer without a model: a coefficient of variation of 0.6.
const BASKET_SHAPE_DEFAULT: f64 = 2.78;

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
        self.value < self.threshold / 2.0
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
    /// Purchase days a week by which the orders are judged; `None` while there is no baseline.
    pub rate_weekly: Option<f64>,
}

/// What the channels need of the configuration and the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters {
    pub(super) prior: RatePrior,
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
    let past = Past { ledger, first: ledger.first_day()?, prior: parameters.prior };
    let start = days.len().saturating_sub(FOLD_DAYS_MAX);
    let begin = days.get(start)?.day;
    let mut orders = Orders::new(begin, frozen.orders, &past);
    let mut basket = Basket::new(begin, frozen.basket, &past, parameters);
    let mut n_lagged = past.n_kept_until(begin.plus(-BASELINE_LAG_DAYS));
    let n_folded = ledger.n_folded();
    for entry in &days[start..] {
        let lagged_on = entry.day.plus(-BASELINE_LAG_DAYS);
        while days[n_lagged].day <= lagged_on {
            n_lagged += 1;
        }
        let rate = past.rate(n_folded.saturating_add(count(n_lagged)), lagged_on);
        orders.purchase(entry.day, rate, parameters.thresholds);
        if entry.day > past.first
            && let Some(minor) = basket_minor(entry)
        {
            basket.purchase(entry.day, minor, rate, parameters);
        }
    }
    Some(Channels {
        orders: orders.on(today, parameters.thresholds),
        basket: basket.channel(parameters.thresholds),
        n_baseline_days: ledger.n_days_until(today.plus(-BASELINE_LAG_DAYS)),
        rate_weekly: orders.rate,
    })
}

/// The mean of the orders that stand on a day, in minor units; `None` where it is not positive.
fn basket_minor(entry: &DayEntry) -> Option<f64> {
    (entry.net_minor > 0).then(|| minor_as_f64(entry.net_minor) / f64::from(entry.n_orders.max(1)))
}

/// Money for ratios and estimates.
#[expect(clippy::cast_precision_loss, reason = "an estimate; money itself stays in integers")]
pub(super) fn minor_as_f64(minor: i128) -> f64 {
    minor as f64
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The purchase days behind a customer.
pub(super) struct Past<'a> {
    ledger: &'a Ledger,
    first: Day,
    prior: RatePrior,
}

impl Past<'_> {
    /// How many of the kept purchase days are on or before this day.
    fn n_kept_until(&self, on: Day) -> usize {
        self.ledger.days().partition_point(|entry| entry.day <= on)
    }

    /// The baseline rate λ₀ in purchase days a week from the purchase days and the time up to the
    /// lagged day, shrunk to the population's; `None` while those are too few.
    fn rate(&self, n_days: u32, lagged_on: Day) -> Option<f64> {
        if n_days < BASELINE_DAYS_MIN {
            return None;
        }
        let weeks = f64::from(lagged_on.days_since(self.first)) / 7.0;
        Some((self.prior.r + f64::from(n_days - 1)) / (self.prior.alpha_weeks + weeks))
    }

    /// The baseline rate of a purchase on this day.
    pub(super) fn rate_of(&self, on: Day) -> Option<f64> {
        let lagged_on = on.plus(-BASELINE_LAG_DAYS);
        self.rate(self.ledger.n_days_until(lagged_on), lagged_on)
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

/// A cumulative sum held at its threshold, so that a returned customer clears in a few orders. The
/// threshold is looked up only where it can bind.
pub(super) fn capped(level: f64, threshold: impl FnOnce() -> f64) -> f64 {
    if level > LN_2 { level.min(threshold()) } else { level.max(0.0) }
}

/// A channel without a baseline.
pub(super) fn no_evidence(baseline_on: Day) -> Channel {
    Channel { value: 0.0, threshold: f64::INFINITY, since: None, crosses_on: None, baseline_on }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::{Random, customer, day, model, settings, usd};

    fn parameters() -> Parameters {
        Parameters::new(&settings(), None, usd())
    }

    fn weekly(n_orders: i32, minor: i64) -> Vec<(i32, i64)> {
        (0..n_orders).map(|week| (week * 7, minor)).collect()
    }

    fn on(orders: &[(i32, i64)], today: i32, frozen: Frozen, parameters: &Parameters) -> Channels {
        channels(&customer(orders).ledger, day(today), frozen, parameters).unwrap()
    }

    fn close(got: f64, expect: f64) {
        assert!((got - expect).abs() < 1e-9, "{got} {expect}");
    }

    #[test]
    fn both_channels_stand_at_zero_until_the_lagged_baseline_holds_three_days() {
        let closed = on(&weekly(10, 4000), 300, Frozen::default(), &parameters());
        assert_eq!((closed.orders.value, closed.orders.crosses_on), (0.0, None));
        assert_eq!((closed.basket.value, closed.rate_weekly), (0.0, None));
        assert!(!closed.orders.is_crossed() && closed.orders.is_under_half());
        let open = on(&weekly(11, 4000), 70, Frozen::default(), &parameters());
        assert_eq!((open.rate_weekly, open.n_baseline_days), (Some(0.4), 3));
    }

    /// λ₀ = (2 + 2) / (8 + 2) = 0.4 at day 70, where h = 3.45 + 0.374378 × 0.22 by the table: 123.6
    /// days of silence at 0.4 / 14 a day.
    #[test]
    fn silence_grows_in_a_line_to_the_day_of_the_alarm() {
        let at = |today| on(&weekly(11, 4000), today, Frozen::default(), &parameters()).orders;
        close(at(70).value, 0.0);
        assert_eq!((at(70).since, at(71).since), (None, Some(day(70))));
        close(at(84).value, 0.4);
        assert_eq!(at(84).crosses_on, Some(day(194)));
        assert!(!at(193).is_crossed() && at(194).is_crossed());
        assert!((at(194).threshold - 3.532_363).abs() < 1e-5);
        close(at(5000).value, at(194).threshold);
    }

    #[test]
    fn an_order_takes_ln_2_away_from_what_silence_brought() {
        let mut orders = weekly(11, 4000);
        orders.push((140, 4000));
        let channel = on(&orders, 140, Frozen::default(), &parameters()).orders;
        close(channel.value, 2.0 - LN_2);
        assert_eq!((channel.since, channel.baseline_on), (Some(day(70)), day(140)));
        orders.push((9000, 4000));
        let capped = on(&orders, 9000, Frozen::default(), &parameters()).orders;
        assert!(capped.value < 4.2 - LN_2, "held at the threshold while silent");
    }

    /// Without a model m₀ = 40 e^(1/5.56) and each basket of 10 adds 2.78 (ln 2 − 10 / m₀).
    #[test]
    fn small_baskets_add_up_against_the_own_past() {
        let mut orders = weekly(15, 4000);
        orders.extend([(105, 1000), (112, 1000)]);
        let basket = on(&orders, 112, Frozen::default(), &parameters()).basket;
        let mean = 40.0 * libm::exp(1.0 / 5.56);
        close(basket.value, 2.0 * 2.78 * (LN_2 - 10.0 / mean));
        assert_eq!(basket.since, Some(day(105)));
        orders.push((119, 90_000));
        let cleared = on(&orders, 119, Frozen::default(), &parameters()).basket;
        assert_eq!((cleared.value, cleared.since), (0.0, None));
    }

    #[test]
    fn a_free_order_is_no_basket_and_orders_of_a_day_share_it() {
        let mut orders = weekly(15, 4000);
        let before = on(&orders, 98, Frozen::default(), &parameters()).basket;
        orders.push((105, 0));
        assert_eq!(on(&orders, 105, Frozen::default(), &parameters()).basket, before);
        orders.extend([(112, 1000), (112, 1400)]);
        let basket = on(&orders, 112, Frozen::default(), &parameters()).basket;
        close(basket.value, 2.78 * (LN_2 - 12.0 / (40.0 * libm::exp(1.0 / 5.56))));
    }

    #[test]
    fn an_alarm_keeps_the_baseline_of_its_day() {
        let mut orders = weekly(15, 4000);
        let frozen = Frozen { orders: Some(day(98)), basket: Some(day(98)) };
        let rate_then = on(&orders, 98, Frozen::default(), &parameters()).rate_weekly;
        orders.extend((1..40).map(|n| (98 + 21 * n, 3000)));
        let held = on(&orders, 1000, frozen, &parameters());
        assert_eq!(held.rate_weekly, rate_then);
        assert_eq!((held.orders.baseline_on, held.basket.baseline_on), (day(98), day(98)));
        assert!(held.basket.is_crossed());
        let free = on(&orders, 1000, Frozen::default(), &parameters());
        assert!(free.rate_weekly < rate_then && !free.basket.is_crossed());
    }

    /// The definitions, read literally and in quadratic time.
    fn reference(
        orders: &[(i32, i64)],
        today: i32,
        frozen: Frozen,
        parameters: &Parameters,
    ) -> (f64, f64) {
        let start = orders.len().saturating_sub(FOLD_DAYS_MAX);
        let rate = |j: i32| {
            let n = orders.iter().filter(|(d, _)| *d <= j - 56).count();
            let weeks = f64::from(j - 56 - orders[0].0) / 7.0;
            let RatePrior { r, alpha_weeks } = parameters.prior;
            (n >= 3).then(|| (r + f64::from(count(n)) - 1.0) / (alpha_weeks + weeks))
        };
        let held = |j: i32, on: Option<Day>| on.map_or(j, |on| j.min(on.0));
        let (mut level, mut basket) = (0.0, 0.0);
        for (i, (j, minor)) in orders.iter().enumerate().skip(start) {
            if let Some(from) = i.checked_sub(1).filter(|from| *from >= start) {
                let before = orders[from].0;
                if let Some(rate) = rate(held(before, frozen.orders)) {
                    let grown: f64 = level + rate / 2.0 * f64::from(j - before) / 7.0;
                    level = grown.min(parameters.thresholds.orders(rate));
                }
            }
            level = (level - LN_2).max(0.0);
            level = rate(held(*j, frozen.orders)).map_or(0.0, |_| level);
            let j = held(*j, frozen.basket);
            let from = if frozen.basket.is_some_and(|on| orders[i].0 > on.0) {
                orders.partition_point(|(d, _)| *d <= j).saturating_sub(FOLD_DAYS_MAX)
            } else {
                start
            };
            let all: Vec<f64> = orders[from..]
                .iter()
                .filter(|(d, minor)| *d <= j && *d > orders[0].0 && *minor > 0)
                .map(|(_, minor)| libm::log(minor_as_f64(i128::from(*minor))))
                .collect();
            let old = &all[..all.len().saturating_sub(3)];
            let shrunk = parameters.ln_population_basket;
            let weight = if shrunk.is_some() { 2.0 } else { 0.0 };
            let n = f64::from(count(old.len())) + weight;
            let ln_mean = (old.iter().sum::<f64>() + weight * shrunk.unwrap_or(0.0)) / n;
            let mean = libm::exp(ln_mean + 0.5 / parameters.basket_shape);
            if *minor > 0 && i > 0 {
                basket = rate(j).filter(|_| n > 0.0).map_or(0.0, |rate| {
                    let ratio = minor_as_f64(i128::from(*minor)) / mean;
                    let grown: f64 = basket + parameters.basket_shape * (LN_2 - ratio);
                    grown.clamp(0.0, parameters.thresholds.basket(rate))
                });
            }
        }
        let last = orders[orders.len() - 1].0;
        let silent = f64::from(today - last) / 7.0;
        let now = rate(held(last, frozen.orders)).map_or(0.0, |rate| {
            (level + rate / 2.0 * silent).min(parameters.thresholds.orders(rate))
        });
        (now, basket)
    }

    #[test]
    fn the_fold_agrees_with_the_definitions_read_literally() {
        let with_model = Parameters::new(&settings(), Some(&model("bg-nbd", true)), usd());
        let mut random = Random(7);
        for case in 0..300 {
            let n = if case % 50 == 0 { 400 } else { 2 + random.below(60) };
            let mut next = 0;
            let orders: Vec<(i32, i64)> = (0..n)
                .map(|_| {
                    let gap_max = random.below(40);
                    next += 1 + random.below(1 + gap_max);
                    (next, i64::from(random.below(6)) * i64::from(random.below(4000)))
                })
                .collect();
            let today = next + random.below(200);
            let mut some_day = || (random.below(3) > 0).then(|| day(random.below(today)));
            let frozen = Frozen { orders: some_day(), basket: some_day() };
            for parameters in [parameters(), with_model] {
                let got = on(&orders, today, frozen, &parameters);
                let (level, basket) = reference(&orders, today, frozen, &parameters);
                assert!((got.orders.value - level).abs() < 1e-9, "{case} {got:?} {level}");
                assert!((got.basket.value - basket).abs() < 1e-9, "{case} {got:?} {basket}");
            }
        }
    }
}
