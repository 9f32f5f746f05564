//! The basket channel: evidence from how much an order brings. Changes at purchases only. Called by
//! `channels`.

use crate::calendar::Day;

use super::channels::{Channel, LN_2, Parameters, Past, capped, no_evidence};
use super::thresholds::Thresholds;

/// The newest baskets that the baseline leaves out.
const BASKETS_LEFT_OUT: usize = 3;

/// How many baskets the population's mean basket counts for.
const POPULATION_BASKETS: f64 = 2.0;

/// The basket channel at its newest purchase: κ(ln 2 − z / m₀) is added for a basket z against the
/// baseline mean m₀.
pub(super) struct Basket {
    frozen: Option<FrozenBasket>,
    baskets: Baskets,
    level: f64,
    since: Day,
    rate: Option<f64>,
    baseline_on: Day,
}

#[derive(Clone, Copy)]
struct FrozenBasket {
    on: Day,
    rate: Option<f64>,
    ln_mean: Option<f64>,
}

impl Basket {
    pub(super) fn new(
        begin: Day,
        frozen: Option<Day>,
        past: &Past<'_>,
        parameters: &Parameters,
    ) -> Self {
        let frozen = frozen.map(|on| FrozenBasket {
            on,
            rate: past.rate_of(on),
            ln_mean: past.baskets_until(on).ln_mean(parameters),
        });
        let baskets = Baskets::default();
        Self { frozen, baskets, level: 0.0, since: begin, rate: None, baseline_on: begin }
    }

    pub(super) fn purchase(
        &mut self,
        day: Day,
        minor: f64,
        rate: Option<f64>,
        parameters: &Parameters,
    ) {
        self.baskets.push(minor);
        let (rate, ln_mean, baseline_on) = match self.frozen {
            Some(held) if day > held.on => (held.rate, held.ln_mean, held.on),
            Some(_) | None => (rate, self.baskets.ln_mean(parameters), day),
        };
        let was_zero = self.level == 0.0;
        self.level = match (rate, ln_mean) {
            (Some(rate), Some(ln_mean)) => {
                let ratio = minor / libm::exp(ln_mean);
                let level = self.level + parameters.basket_shape * (LN_2 - ratio);
                capped(level, || parameters.thresholds.basket(rate))
            }
            (None, _) | (_, None) => 0.0,
        };
        if was_zero {
            self.since = day;
        }
        (self.rate, self.baseline_on) = (rate, baseline_on);
    }

    pub(super) fn channel(&self, thresholds: Thresholds) -> Channel {
        let Some(rate) = self.rate else {
            return no_evidence(self.baseline_on);
        };
        Channel {
            value: self.level,
            threshold: thresholds.basket(rate),
            since: (self.level > 0.0).then_some(self.since),
            crosses_on: None,
            baseline_on: self.baseline_on,
        }
    }
}

/// Logarithms of the repeat baskets: the sum of all but the newest three, and those three.
#[derive(Default)]
pub(super) struct Baskets {
    ln_sum: f64,
    n_summed: f64,
    newest: [f64; BASKETS_LEFT_OUT],
    n_pushed: usize,
}

impl Baskets {
    pub(super) fn push(&mut self, minor: f64) {
        let slot = &mut self.newest[self.n_pushed % BASKETS_LEFT_OUT];
        let left = std::mem::replace(slot, libm::log(minor));
        if self.n_pushed >= BASKETS_LEFT_OUT {
            self.ln_sum += left;
            self.n_summed += 1.0;
        }
        self.n_pushed += 1;
    }

    /// Logarithm of the baseline mean m₀: the mean logarithm, shrunk to the population's, plus
    /// 1/(2κ), by which the mean logarithm of a gamma amount stays under that of its mean.
    fn ln_mean(&self, parameters: &Parameters) -> Option<f64> {
        let shift = 1.0 / (2.0 * parameters.basket_shape);
        match parameters.ln_population_basket {
            Some(ln_population) => {
                let ln_sum = self.ln_sum + POPULATION_BASKETS * ln_population;
                Some(ln_sum / (self.n_summed + POPULATION_BASKETS) + shift)
            }
            None => (self.n_summed > 0.0).then(|| self.ln_sum / self.n_summed + shift),
        }
    }
}
