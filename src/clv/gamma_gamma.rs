//! The Gamma-Gamma model of spend: what a purchase day of a customer is worth on average. Knows
//! nothing of how often they buy. Called by `model`.

use super::incomplete_beta::incomplete_beta;

/// Parameters of the Gamma-Gamma model (Fader and Hardie, "The Gamma-Gamma Model of Monetary
/// Value", note 025).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GammaGamma {
    /// Shape of a purchase day's value within a customer: its coefficient of variation is 1/√p.
    pub(super) p: f64,
    /// Shape of the customers' rates; above 1, or the population has no mean.
    pub(super) q: f64,
    /// Scale of the customers' rates, in major units of money.
    pub(super) gamma: f64,
}

impl GammaGamma {
    /// The mean over the population, pγ/(q − 1), in major units.
    pub(super) fn population_mean(&self) -> f64 {
        self.p * self.gamma / (self.q - 1.0)
    }

    /// The expected value of a purchase day, p(γ + x m̄)/(px + q − 1), in major units, for a
    /// customer whose `x` repeat days had the mean `mean_major`. A mean that is not above 0 lies
    /// outside the model: such a customer counts as unknown.
    pub(super) fn expected_value(&self, x: u32, mean_major: f64) -> f64 {
        let Some(own_share) = self.own_share(x, mean_major) else {
            return self.population_mean();
        };
        // Two shares, so no overflow.
        self.population_mean() * (1.0 - own_share) + mean_major * own_share
    }

    /// The weight of the customer's own mean against the population's; `None` where it counts for
    /// nothing.
    pub(super) fn own_share(&self, x: u32, mean_major: f64) -> Option<f64> {
        let x = known_days(x, mean_major)?;
        Some(self.p * x / (self.p * x + self.q - 1.0))
    }

    /// The chance that `n_orders` further purchase days bring less than `amount_major` together.
    ///
    /// Of one customer they are gamma with the shape p·n, and the rate is gamma with the shape
    /// px + q and the rate γ + x m̄; so their sum over γ + x m̄ is beta prime (p·n, px + q).
    pub(super) fn chance_of_less(
        &self,
        x: u32,
        mean_major: f64,
        n_orders: u32,
        amount_major: f64,
    ) -> f64 {
        if n_orders == 0 {
            return f64::from(u8::from(amount_major > 0.0));
        }
        let (shape, scale) = match known_days(x, mean_major) {
            Some(x) => (self.p * x + self.q, self.gamma + x * mean_major),
            None => (self.q, self.gamma),
        };
        incomplete_beta(self.p * f64::from(n_orders), shape, amount_major / scale)
    }
}

/// The repeat days whose mean is known and lies within the model.
fn known_days(x: u32, mean_major: f64) -> Option<f64> {
    (x > 0 && mean_major > 0.0).then(|| f64::from(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    const CDNOW: GammaGamma = GammaGamma { p: 6.249_574_8, q: 3.744_224_4, gamma: 15.443_512_7 };

    #[test]
    fn the_expected_value_is_the_published_formula() {
        for (x, mean) in [(1, 20.0), (2, 22.345), (29, 0.01), (4_000, 9e6)] {
            let n = f64::from(x);
            let GammaGamma { p, q, gamma } = CDNOW;
            let published = p * (gamma + n * mean) / (p * n + q - 1.0);
            let value = CDNOW.expected_value(x, mean);
            assert!((value / published - 1.0).abs() < 1e-14, "{value} {published}");
        }
    }

    #[test]
    fn who_has_no_positive_mean_gets_the_population_mean() {
        for (x, mean) in [(0, 0.0), (0, 99.0), (3, 0.0), (3, -1.0), (3, f64::NAN)] {
            let value = CDNOW.expected_value(x, mean);
            assert!((value - 35.170_369_67).abs() < 1e-5, "{value}");
        }
    }

    #[test]
    fn sums_of_simulated_purchases_fall_short_with_this_chance() {
        const ROUNDS: u32 = 100_000;
        let (x, mean) = (2, 22.345);
        for (n_orders, amount) in [(1, 20.0), (2, 60.0), (5, 90.0)] {
            let chance = CDNOW.chance_of_less(x, mean, n_orders, amount);
            let mut dice = Dice::new(5, n_orders.into());
            let mut n_short = 0_u32;
            for _ in 0..ROUNDS {
                let (shape, rate) = (CDNOW.p * 2.0 + CDNOW.q, CDNOW.gamma + 2.0 * mean);
                let scale = dice.gamma(shape, shape / rate);
                let spent: f64 = (0..n_orders).map(|_| dice.gamma(CDNOW.p, CDNOW.p / scale)).sum();
                n_short += u32::from(spent < amount);
            }
            let share = f64::from(n_short) / f64::from(ROUNDS);
            let error = 4.0 * (chance * (1.0 - chance) / f64::from(ROUNDS)).sqrt();
            assert!((share - chance).abs() < error, "{n_orders}: {share} is not {chance}");
        }
    }

    #[test]
    fn nothing_bought_is_less_than_anything_and_no_less_than_nothing() {
        assert!((CDNOW.chance_of_less(3, 20.0, 0, 0.01) - 1.0).abs() < f64::EPSILON);
        assert!(CDNOW.chance_of_less(3, 20.0, 0, 0.0) <= 0.0);
        assert!(CDNOW.chance_of_less(3, 20.0, 2, 0.0) <= 0.0);
    }
}
