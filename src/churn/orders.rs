//! The orders channel: evidence from how often a customer orders. Grows in silence, so that the day
//! of its alarm is known in advance. Called by `channels` and `watch`.

use crate::calendar::Day;
use crate::clv::whole_days;

use super::channels::{Channel, Parameters, capped, no_evidence};
use super::past::{Baseline, Past, weighted_days};

/// What is left of the rate in a decline, λ₁ / λ₀. A halving is found as soon as with ½, and who
/// stops is found sooner.
const LEFT: f64 = 0.4;

/// The weight of one order against such a decline, ln(λ₀ / λ₁).
pub(super) const ORDER_WEIGHT: f64 = 0.916_290_731_874_155;

/// The orders channel at its newest purchase: it grows by (λ₀ − λ₁)Δt, season-weighted, and an
/// order takes ln(λ₀ / λ₁) away.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    frozen: Option<(Day, Option<Baseline>)>,
    level: f64,
    on: Day,
    /// The purchase day from which the level has stood above 0.
    since: Day,
    /// The baseline in force.
    pub(super) baseline: Option<Baseline>,
    baseline_on: Day,
}

impl Orders {
    pub(super) fn new(begin: Day) -> Self {
        Self {
            frozen: None,
            level: 0.0,
            on: begin,
            since: begin,
            baseline: None,
            baseline_on: begin,
        }
    }

    /// Holds the baseline of this purchase day from then on.
    pub(super) fn frozen(mut self, on: Option<Day>, past: &Past<'_>) -> Self {
        self.frozen = on.map(|on| (on, past.baseline_of(on)));
        self
    }

    /// Holds the baseline in force, as an alarm does.
    pub(super) fn freeze(&mut self) {
        self.frozen = Some((self.baseline_on, self.baseline));
    }

    pub(super) fn purchase(&mut self, day: Day, lagged: Option<Baseline>, known: &Parameters) {
        let held = match self.baseline {
            Some(baseline) => {
                let silent_days = weighted_days(known.season.as_ref(), self.on, day);
                let grown = self.level + growth_daily(&baseline) * silent_days;
                capped(grown, || known.thresholds.orders(&baseline))
            }
            None => 0.0,
        };
        (self.baseline, self.baseline_on) = match self.frozen {
            Some((on, baseline)) if day > on => (baseline, on),
            Some(_) | None => (lagged, day),
        };
        self.level = if self.baseline.is_some() { (held - ORDER_WEIGHT).max(0.0) } else { 0.0 };
        self.on = day;
        if self.level == 0.0 {
            self.since = day;
        }
    }

    pub(super) fn on(&self, today: Day, known: &Parameters) -> Channel {
        let Some(baseline) = self.baseline else {
            return no_evidence(self.baseline_on);
        };
        let (threshold, growth) = (known.thresholds.orders(&baseline), growth_daily(&baseline));
        let silent_days_allowed = (threshold - self.level) / growth;
        let crosses_on = match &known.season {
            Some(season) => season.day_after(self.on, silent_days_allowed),
            None => self.on.plus(whole_days(silent_days_allowed)),
        };
        // The day decides, not the sum, so that channel and timer cannot disagree in the last bit.
        let value = if today >= crosses_on {
            threshold
        } else {
            let silent_days = weighted_days(known.season.as_ref(), self.on, today.max(self.on));
            (self.level + growth * silent_days).min(threshold.next_down())
        };
        Channel {
            value,
            threshold,
            since: (value > 0.0).then_some(self.since),
            crosses_on: Some(crosses_on),
            baseline_on: self.baseline_on,
        }
    }
}

/// What one day of silence adds in an average season.
fn growth_daily(baseline: &Baseline) -> f64 {
    (1.0 - LEFT) * baseline.rate_weekly / 7.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_of_an_order_is_the_logarithm_of_the_fall() {
        assert!((libm::exp(-ORDER_WEIGHT) - LEFT).abs() < 1e-12);
    }
}
