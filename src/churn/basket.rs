//! The basket channel: evidence from how much an order brings. Changes at purchases only. Called by
//! `channels` and `watch`.

use crate::calendar::Day;

use super::channels::{Channel, Parameters, capped, no_evidence};
use super::past::{Baseline, Past};

/// What is left of the baskets in a decline. Between a half and two thirds, so that both are found.
const LEFT: f64 = 0.55;

/// ln(1 / left): what a basket of nothing would add, in units of the baskets' shape.
const EMPTY_WEIGHT: f64 = 0.597_837_000_755_620_4;

/// The newest baskets that the baseline leaves out.
const BASKETS_LEFT_OUT: usize = 3;

/// How many baskets the population's mean basket counts for.
const POPULATION_BASKETS: f64 = 2.0;

/// The basket channel at its newest purchase: κ(ln(1/c) − (1/c − 1) z / m₀) is added for a basket z
/// against the baseline mean m₀, c being what a decline leaves.
#[derive(Clone, Debug)]
pub(super) struct Basket {
    frozen: Option<(Day, BasketBaseline)>,
    baskets: Baskets,
    level: f64,
    since: Day,
    baseline: BasketBaseline,
    baseline_on: Day,
}

#[derive(Clone, Copy, Debug, Default)]
struct BasketBaseline {
    orders: Option<Baseline>,
    mean: Option<MeanBasket>,
}

/// Logarithm of the mean basket of the baseline, and how many baskets it rests on.
#[derive(Clone, Copy, Debug)]
struct MeanBasket {
    ln: f64,
    weight: f64,
}

impl Basket {
    pub(super) fn new(begin: Day) -> Self {
        Self {
            frozen: None,
            baskets: Baskets::default(),
            level: 0.0,
            since: begin,
            baseline: BasketBaseline::default(),
            baseline_on: begin,
        }
    }

    /// Holds the baseline of this purchase day from then on.
    pub(super) fn frozen(mut self, on: Option<Day>, past: &Past<'_>) -> Self {
        self.frozen = on.map(|on| {
            let mean = past.baskets_until(on).mean(past.parameters);
            (on, BasketBaseline { orders: past.baseline_of(on), mean })
        });
        self
    }

    /// Holds the baseline in force, as an alarm does.
    pub(super) fn freeze(&mut self) {
        self.frozen = Some((self.baseline_on, self.baseline));
    }

    pub(super) fn purchase(
        &mut self,
        day: Day,
        minor: f64,
        orders: Option<Baseline>,
        known: &Parameters,
    ) {
        self.baskets.push(minor);
        let (baseline, baseline_on) = match self.frozen {
            Some((on, held)) if day > on => (held, on),
            Some(_) | None => (BasketBaseline { orders, mean: self.baskets.mean(known) }, day),
        };
        let was_zero = self.level == 0.0;
        self.level = match (baseline.orders, baseline.mean) {
            (Some(orders), Some(mean)) => {
                let ratio = minor / libm::exp(mean.ln);
                let evidence = EMPTY_WEIGHT - (1.0 / LEFT - 1.0) * ratio;
                let level = self.level + known.basket_shape * evidence;
                capped(level, || known.thresholds.basket(&orders, mean.weight))
            }
            (None, _) | (_, None) => 0.0,
        };
        if was_zero {
            self.since = day;
        }
        (self.baseline, self.baseline_on) = (baseline, baseline_on);
    }

    /// The mean basket of the baseline in force.
    pub(super) fn mean_minor(&self) -> Option<f64> {
        self.baseline.orders?;
        self.baseline.mean.map(|mean| libm::exp(mean.ln))
    }

    pub(super) fn channel(&self, known: &Parameters) -> Channel {
        let (Some(orders), Some(mean)) = (self.baseline.orders, self.baseline.mean) else {
            return no_evidence(self.baseline_on);
        };
        Channel {
            value: self.level,
            threshold: known.thresholds.basket(&orders, mean.weight),
            since: (self.level > 0.0).then_some(self.since),
            crosses_on: None,
            baseline_on: self.baseline_on,
        }
    }
}

/// Logarithms of the repeat baskets: the sum of all but the newest three, and those three.
#[derive(Clone, Debug, Default)]
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

    /// The baseline mean m₀: its logarithm is the mean logarithm, shrunk to the population's, plus
    /// 1/(2κ), by which the mean logarithm of a gamma amount stays under that of its mean.
    fn mean(&self, known: &Parameters) -> Option<MeanBasket> {
        let (ln_sum, weight) = match known.ln_population_basket {
            Some(ln_population) => (
                self.ln_sum + POPULATION_BASKETS * ln_population,
                self.n_summed + POPULATION_BASKETS,
            ),
            None => (self.ln_sum, self.n_summed),
        };
        let ln = || ln_sum / weight + 1.0 / (2.0 * known.basket_shape);
        (weight > 0.0).then(|| MeanBasket { ln: ln(), weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_basket_weighs_the_logarithm_of_the_fall() {
        assert!((libm::exp(-EMPTY_WEIGHT) - LEFT).abs() < 1e-12);
    }
}
