//! The thresholds of the two channels: how much evidence is an alarm, for the customer's own rate,
//! how well their past is known, and the allowed false alarms. Knows no customer. Called by
//! `orders` and `basket`.
//!
//! The figures come from a simulation of these channels (`lifetide calibrate --remake`), which
//! finds for each rate the threshold at which customers with that baseline give as many false
//! alarms as allowed. A baseline that rests on few purchases is often wrong, and what is wrong
//! crosses low thresholds. So the threshold h of a well-known past becomes w(e^(h/w) − 1) for one
//! that rests on w purchases: a customer of known rate λ stays silent until λs = h with the chance
//! e^(−h), one whose rate is gamma distributed about the same mean with shape w until λs =
//! w(e^(h/w) − 1).

use super::past::Baseline;
use super::table::{BASKET, ORDERS, USAGE};

/// How many rates are tabulated.
pub const N_RATES: usize = 10;

/// How many shares of weeks with use are tabulated.
pub const N_SHARES: usize = 5;

/// How many rates of false alarms are tabulated.
pub const N_ALARMS: usize = 5;

/// Tabulated false alarms a customer-year, over both channels.
pub const FALSE_ALARMS: [f64; N_ALARMS] = [0.05, 0.1, 0.25, 0.5, 1.0];

/// Natural logarithms of the tabulated rates, in purchase days a week: 0.02, 0.05, 0.1, 0.2, 0.35,
/// 0.5, 0.75, 1.0, 1.5, 2.5.
const LN_RATES: [f64; N_RATES] = [
    -3.912_023_005_428_146,
    -2.995_732_273_553_991,
    -2.302_585_092_994_045_5,
    -1.609_437_912_434_100_3,
    -1.049_822_124_498_677_8,
    -std::f64::consts::LN_2,
    -0.287_682_072_451_780_9,
    0.0,
    0.405_465_108_108_164_4,
    0.916_290_731_874_155_1,
];

/// The tabulated shares of weeks with use.
const SHARES: [f64; N_SHARES] = [0.25, 0.5, 0.75, 0.9, 1.0];

/// No threshold is lower, so that no single order or basket is an alarm.
pub(super) const THRESHOLD_MIN: f64 = std::f64::consts::LN_2;

/// The purchases that are taken for known, of those that a baseline rests on.
const KNOWN: f64 = 0.9;

/// Beyond this many times the purchases known, a threshold is out of reach anyway.
const CHARGE_MAX: f64 = 6.0;

/// Thresholds at the tabulated rates, of well-known pasts, for one configured rate of false alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Of the orders channel.
    pub orders: [f64; N_RATES],
    /// Of the basket channel.
    pub basket: [f64; N_RATES],
}

impl Thresholds {
    /// Thresholds for the false alarms allowed a customer-year over both channels, half for each:
    /// linear in the logarithm between the tabulated ones, and beyond them.
    pub fn new(false_alarms_per_customer_year: f64) -> Self {
        let of = |table| between(table, false_alarms_per_customer_year);
        Self { orders: of(&ORDERS), basket: of(&BASKET) }
    }

    /// The orders channel's threshold by a baseline.
    pub(super) fn orders(&self, baseline: &Baseline) -> f64 {
        charged(at(&self.orders, baseline.rate_weekly), baseline.weight)
    }

    /// The basket channel's threshold by a baseline whose mean rests on so many baskets.
    pub(super) fn basket(&self, baseline: &Baseline, n_baskets: f64) -> f64 {
        charged(at(&self.basket, baseline.rate_weekly), n_baskets)
    }
}

/// Thresholds of the usage channel at the tabulated shares of weeks with use, for one configured
/// rate of false alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageThresholds(pub [f64; N_SHARES]);

impl UsageThresholds {
    /// Thresholds for the false alarms allowed a customer-year.
    pub fn new(false_alarms_per_customer_year: f64) -> Self {
        Self(between(&USAGE, false_alarms_per_customer_year))
    }

    /// The threshold of a customer with this share of weeks with use.
    pub(super) fn at(&self, share_used: f64) -> f64 {
        let (below, share) = place_share(share_used);
        (self.0[below] + share * (self.0[below + 1] - self.0[below])).max(THRESHOLD_MIN)
    }
}

/// The tabulated share of weeks with use below a share, and how far towards the next it lies.
/// Shares outside the table lie at its ends.
pub fn place_share(share_used: f64) -> (usize, f64) {
    let held = share_used.clamp(SHARES[0], SHARES[N_SHARES - 1]);
    let above = SHARES.partition_point(|tabulated| *tabulated < held).clamp(1, N_SHARES - 1);
    (above - 1, (held - SHARES[above - 1]) / (SHARES[above] - SHARES[above - 1]))
}

/// A table's row for a rate of false alarms, linear in the logarithm between the tabulated ones.
fn between<const N: usize>(table: &[[u16; N]; N_ALARMS], false_alarms: f64) -> [f64; N] {
    let above = FALSE_ALARMS.partition_point(|alarms| *alarms < false_alarms);
    let above = above.clamp(1, N_ALARMS - 1);
    let [low, high] = [above - 1, above].map(|i| libm::log(FALSE_ALARMS[i]));
    let share = (libm::log(false_alarms) - low) / (high - low);
    std::array::from_fn(|i| {
        let [low, high] = [above - 1, above].map(|k| f64::from(table[k][i]) / 100.0);
        low + share * (high - low)
    })
}

fn charged(threshold: f64, weight: f64) -> f64 {
    let known = KNOWN * weight;
    known * libm::expm1((threshold / known).min(CHARGE_MAX))
}

fn at(table: &[f64; N_RATES], rate_weekly: f64) -> f64 {
    let (below, share) = place(rate_weekly);
    (table[below] + share * (table[below + 1] - table[below])).max(THRESHOLD_MIN)
}

/// The tabulated rate below a rate in purchase days a week, and how far towards the next it lies in
/// the logarithm. Rates outside the table lie at its ends.
pub fn place(rate_weekly: f64) -> (usize, f64) {
    let ln_rate = libm::log(rate_weekly).clamp(LN_RATES[0], LN_RATES[N_RATES - 1]);
    let above = LN_RATES.partition_point(|tabulated| *tabulated < ln_rate).clamp(1, N_RATES - 1);
    let below = above - 1;
    (below, (ln_rate - LN_RATES[below]) / (LN_RATES[above] - LN_RATES[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h(hundredths: u16) -> f64 {
        f64::from(hundredths) / 100.0
    }

    fn close(got: f64, expect: f64) {
        assert!((got - expect).abs() < 1e-6, "{got} {expect}");
    }

    fn baseline(rate_weekly: f64) -> Baseline {
        Baseline { rate_weekly, weight: 1e9 }
    }

    #[test]
    fn the_tabulated_rates_give_the_table() {
        for (i, false_alarms) in FALSE_ALARMS.into_iter().enumerate() {
            let thresholds = Thresholds::new(false_alarms);
            for (k, ln_rate) in LN_RATES.into_iter().enumerate() {
                let rate = baseline(libm::exp(ln_rate));
                close(thresholds.orders(&rate), h(ORDERS[i][k]).max(THRESHOLD_MIN));
                close(thresholds.basket(&rate, 1e9), h(BASKET[i][k]).max(THRESHOLD_MIN));
            }
        }
    }

    #[test]
    fn thresholds_are_linear_in_both_logarithms_and_flat_beyond_the_rates() {
        let middle = |i: usize, k: usize| f64::midpoint(h(ORDERS[i][k]), h(ORDERS[i][k + 1]));
        let rate = baseline(libm::exp(f64::midpoint(LN_RATES[4], LN_RATES[5])));
        close(Thresholds::new(FALSE_ALARMS[2]).orders(&rate), middle(2, 4));
        let alarms = libm::sqrt(FALSE_ALARMS[1] * FALSE_ALARMS[2]);
        let between = f64::midpoint(middle(1, 4), middle(2, 4));
        close(Thresholds::new(alarms).orders(&rate), between);
        let beyond = Thresholds::new(FALSE_ALARMS[0] * FALSE_ALARMS[0] / FALSE_ALARMS[1]);
        close(beyond.orders(&rate), 2.0 * middle(0, 4) - middle(1, 4));
        let thresholds = Thresholds::new(0.25);
        close(thresholds.orders(&baseline(40.0)), h(ORDERS[2][N_RATES - 1]));
        close(thresholds.orders(&baseline(1e-9)), h(ORDERS[2][0]).max(THRESHOLD_MIN));
    }

    #[test]
    fn an_unsure_past_raises_a_threshold_and_none_is_under_the_least() {
        let thresholds = Thresholds::new(FALSE_ALARMS[2]);
        let (h, rate) = (h(ORDERS[2][5]), libm::exp(LN_RATES[5]));
        let unsure = Baseline { rate_weekly: rate, weight: 4.0 };
        close(thresholds.orders(&unsure), 4.0 * KNOWN * libm::expm1(h / (4.0 * KNOWN)));
        close(Thresholds::new(12.0).orders(&baseline(0.05)), THRESHOLD_MIN);
    }

    /// More evidence for fewer alarms, at every rate; what is under the least is never looked at.
    #[test]
    fn the_table_falls_with_the_alarms_allowed() {
        for table in [ORDERS, BASKET] {
            for (fewer, more) in table.iter().zip(&table[1..]) {
                let pairs = fewer.iter().zip(more);
                assert!(
                    pairs.clone().all(|(fewer, more)| fewer > more || h(*fewer) < THRESHOLD_MIN)
                );
            }
        }
    }
}
