//! The thresholds of the two channels: how much evidence is an alarm, for the customer's own rate
//! and the allowed false alarms. Knows no customer. Called by `channels`.

use super::channels::LN_2;

/// False alarms a customer-year and channel at which [`ORDERS`] and [`BASKET`] were simulated.
const FALSE_ALARMS_TABULATED: f64 = 0.125;

/// Natural logarithms of the tabulated rates, in purchase days a week.
const LN_RATES: [f64; 9] = [
    -2.995_732_273_553_991,
    -2.302_585_092_994_045_5,
    -1.609_437_912_434_100_3,
    -1.049_822_124_498_677_8,
    -LN_2,
    -0.287_682_072_451_780_9,
    0.0,
    0.405_465_108_108_164_4,
    0.916_290_731_874_155_1,
];

/// Thresholds of the orders channel at those rates. The starting table: simulated with homogeneous
/// known rates on a grid of days; a customer's rate is uncertain, so slow buyers alarm more often
/// than tabulated and fast ones less.
const ORDERS: [f64; 9] = [1.73, 2.30, 2.90, 3.45, 3.67, 3.94, 4.08, 4.15, 4.05];

/// Thresholds of the basket channel at those rates, from the same simulation.
const BASKET: [f64; 9] = [1.93, 2.57, 3.29, 3.72, 4.01, 4.23, 4.46, 4.65, 4.93];

/// Thresholds for one configured rate of false alarms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    /// Added to what is tabulated.
    shift: f64,
}

impl Thresholds {
    /// Thresholds for the false alarms allowed a customer-year over both channels, half for each.
    /// The time between false alarms of a CUSUM grows as e^h (Siegmund 1985), so another rate f
    /// moves every threshold by ln(0.125 / f).
    pub(super) fn new(false_alarms_per_customer_year: f64) -> Self {
        let for_each = false_alarms_per_customer_year / 2.0;
        Self { shift: libm::log(FALSE_ALARMS_TABULATED / for_each) }
    }

    /// The orders channel's threshold at a rate in purchase days a week.
    pub(super) fn orders(self, rate_weekly: f64) -> f64 {
        self.at(&ORDERS, rate_weekly)
    }

    /// The basket channel's threshold at a rate in purchase days a week.
    pub(super) fn basket(self, rate_weekly: f64) -> f64 {
        self.at(&BASKET, rate_weekly)
    }

    /// Linear in ln(rate) between the tabulated rates and flat beyond them; never under ln 2, the
    /// weight of a single order.
    fn at(self, table: &[f64; 9], rate_weekly: f64) -> f64 {
        let ln_rate = libm::log(rate_weekly).clamp(LN_RATES[0], LN_RATES[8]);
        let above = LN_RATES.partition_point(|tabulated| *tabulated < ln_rate).clamp(1, 8);
        let below = above - 1;
        let share = (ln_rate - LN_RATES[below]) / (LN_RATES[above] - LN_RATES[below]);
        (table[below] + share * (table[above] - table[below]) + self.shift).max(LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [f64; 9] = [0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5];

    fn close(got: f64, expect: f64) {
        assert!((got - expect).abs() < 1e-12, "{got} {expect}");
    }

    #[test]
    fn the_logarithms_are_those_of_the_tabulated_rates() {
        for (rate, ln_rate) in RATES.into_iter().zip(LN_RATES) {
            assert_eq!(libm::log(rate).to_bits(), ln_rate.to_bits(), "{rate}");
        }
    }

    #[test]
    fn the_default_rate_of_alarms_gives_the_table_and_ln_rate_interpolates_it() {
        let thresholds = Thresholds::new(0.25);
        for (i, rate) in RATES.into_iter().enumerate() {
            close(thresholds.orders(rate), ORDERS[i]);
            close(thresholds.basket(rate), BASKET[i]);
        }
        close(thresholds.orders(libm::sqrt(0.1 * 0.2)), 2.6);
        close(thresholds.basket(libm::sqrt(1.5 * 2.5)), 4.79);
        close(thresholds.orders(0.001), 1.73);
        close(thresholds.basket(40.0), 4.93);
        close(thresholds.orders(0.0), 1.73);
    }

    #[test]
    fn another_rate_of_alarms_moves_all_thresholds_but_never_under_one_order() {
        close(Thresholds::new(0.25 / libm::exp(1.0)).orders(0.5), 4.67);
        close(Thresholds::new(0.5).basket(0.5), 4.01 - LN_2);
        close(Thresholds::new(50.0).orders(0.5), LN_2);
    }
}
