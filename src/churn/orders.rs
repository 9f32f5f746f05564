//! The orders channel: evidence from how often a customer orders. Grows in silence, so that the day
//! of its alarm is known in advance. Called by `channels`.

use crate::calendar::Day;

use super::channels::{Channel, LN_2, Past, capped, no_evidence};
use super::thresholds::Thresholds;

/// The orders channel at its newest purchase: it grows by (λ₀ − λ₁)Δt, half of λ₀ Δt, and an order
/// takes ln 2 away.
pub(super) struct Orders {
    frozen: Option<(Day, Option<f64>)>,
    level: f64,
    on: Day,
    /// The purchase day from which the level has stood above 0.
    since: Day,
    /// The baseline rate in force, in purchase days a week.
    pub(super) rate: Option<f64>,
    baseline_on: Day,
}

impl Orders {
    pub(super) fn new(begin: Day, frozen_on: Option<Day>, past: &Past<'_>) -> Self {
        let frozen = frozen_on.map(|on| (on, past.rate_of(on)));
        Self { frozen, level: 0.0, on: begin, since: begin, rate: None, baseline_on: begin }
    }

    pub(super) fn purchase(&mut self, day: Day, rate_lagged: Option<f64>, thresholds: Thresholds) {
        let grown = self.level + self.growth_daily() * f64::from(day.days_since(self.on));
        let held = capped(grown, || self.rate.map_or(0.0, |rate| thresholds.orders(rate)));
        (self.rate, self.baseline_on) = match self.frozen {
            Some((on, rate)) if day > on => (rate, on),
            Some(_) | None => (rate_lagged, day),
        };
        self.level = if self.rate.is_some() { (held - LN_2).max(0.0) } else { 0.0 };
        self.on = day;
        if self.level == 0.0 {
            self.since = day;
        }
    }

    fn growth_daily(&self) -> f64 {
        self.rate.unwrap_or(0.0) / 14.0
    }

    pub(super) fn on(&self, today: Day, thresholds: Thresholds) -> Channel {
        let Some(rate) = self.rate else {
            return no_evidence(self.baseline_on);
        };
        let threshold = thresholds.orders(rate);
        let silent_days_allowed = whole_days((threshold - self.level) / self.growth_daily());
        let crosses_on = self.on.plus(silent_days_allowed);
        // The day decides, not the sum, so that channel and timer cannot disagree in the last bit.
        let value = if today >= crosses_on {
            threshold
        } else {
            self.level + self.growth_daily() * f64::from(today.days_since(self.on).max(0))
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

/// Whole days, rounded up, none below 0; held at the ends of what can be counted.
#[expect(clippy::cast_possible_truncation, reason = "the cast holds at the ends, as is meant")]
fn whole_days(days: f64) -> i32 {
    days.ceil().max(0.0) as i32
}
