//! The Gamma-Gamma model of spend: what a purchase day of a customer is worth on average. Knows
//! nothing of how often they buy. Called by `model`.

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
        if x == 0 || mean_major.is_nan() || mean_major <= 0.0 {
            return self.population_mean();
        }
        let x = f64::from(x);
        // The population's mean and the customer's own, weighted; two shares, so no overflow.
        let own_share = self.p * x / (self.p * x + self.q - 1.0);
        self.population_mean() * (1.0 - own_share) + mean_major * own_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
