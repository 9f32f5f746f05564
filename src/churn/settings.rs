//! What is configured of a judgement, and the rules made of it, the model and the calendar. Reads
//! no file: `config` validates them and `plan` fills them. Called by `plan`, `pipeline` and this
//! module.

use std::cell::RefCell;
use std::sync::Arc;

use crate::calendar::Calendar;
use crate::clv::{Memo, Model, RatePrior};
use crate::money::Currency;

use super::channels::Parameters;
use super::deadlines::Ages;
use super::thresholds::UsageThresholds;

/// The keys of `[churn]` and `processing.score_drift_max`, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At risk from the day on which a living customer would be silent this long with this chance.
    pub at_risk_silence_tail: f64,
    /// Lapsed from the day on which P(alive) is at most this, where the model can tell.
    pub lapse_p_alive: f64,
    /// Lapsed from the day on which the silence tail is at most this, where P(alive) cannot tell.
    pub lapse_silence_tail: f64,
    /// Days after the only purchase at which such a customer lapses, where P(alive) cannot tell.
    pub lapse_days_single: i32,
    /// No customer lapses within this many days of the last purchase.
    pub lapse_days_min: i32,
    /// A signal is dropped within this many days of the last one of its kind.
    pub cooldown_days: i32,
    /// Purchase rates of the population where there is no model (`prior_orders`, `prior_weeks`).
    pub prior: RatePrior,
    /// Allowed false alarms of decline in a year of a customer with a baseline, half a channel.
    pub false_alarms_per_customer_year: f64,
    /// Allowed false alarms of use in a year of a customer whose use can be compared.
    pub usage_false_alarms_per_customer_year: f64,
    /// Signals dated before this instant only update the state.
    pub signals_from_ms: Option<i64>,
    /// How far silence may move P(alive) before the score is published again.
    pub score_drift_max: f64,
}

/// A value tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its name, as published.
    pub name: String,
    /// The net revenue to date from which it holds, in minor units.
    pub from_minor: i128,
}

/// The value tiers in ascending order of their bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// Tiers in order.
    ///
    /// # Errors
    /// A sentence when there is none, or a bound is not above the one before it.
    pub fn new(tiers: Vec<Tier>) -> Result<Self, String> {
        if tiers.is_empty() {
            return Err("`segments.tiers` is empty; name at least one tier".to_owned());
        }
        for pair in tiers.windows(2) {
            if pair[0].from_minor >= pair[1].from_minor {
                return Err(format!(
                    "`segments.tiers`: the lower bound of `{}` must be above that of `{}`",
                    pair[1].name, pair[0].name
                ));
            }
        }
        Ok(Self(tiers))
    }

    /// The index of the tier of this net revenue; what lies below every bound is in the lowest.
    pub fn of(&self, net_minor: i128) -> usize {
        self.0.partition_point(|tier| tier.from_minor <= net_minor).saturating_sub(1)
    }

    /// The name of a tier that [`Self::of`] gave; empty for any other index.
    pub fn name(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |tier| tier.name.as_str())
    }

    /// The names of all tiers, in the order of their indices.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|tier| tier.name.as_str())
    }

    /// How much a signal about a customer of this tier matters: the top tier high, the lowest low,
    /// those between medium; medium too where a single tier tells nobody apart.
    pub fn severity(&self, index: usize) -> Severity {
        if self.0.len() < 2 {
            Severity::Medium
        } else if index == 0 {
            Severity::Low
        } else if self.is_top(index) {
            Severity::High
        } else {
            Severity::Medium
        }
    }

    /// Whether there is a tier below this one and none above.
    pub(super) fn is_top(&self, index: usize) -> bool {
        index > 0 && index + 1 == self.0.len()
    }
}

/// How much a signal matters, by the customer's value tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The top tier.
    High,
    /// Any tier between.
    Medium,
    /// The lowest tier.
    Low,
}

impl Severity {
    /// As published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Everything that a judgement needs beside the customer and the day. Made once for a model and a
/// configuration, then used for every customer.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The configured limits.
    pub settings: Settings,
    /// The value tiers.
    pub tiers: Tiers,
    /// The model in force, if there is one.
    pub model: Option<Arc<Model>>,
    /// Days of the configured time zone.
    pub calendar: Calendar,
    /// The currency of the ledgers.
    pub currency: Currency,
    /// What the channels need of the above.
    pub(super) parameters: Parameters,
    /// How much evidence is an alarm of use.
    pub(super) usage_thresholds: UsageThresholds,
    /// What of the above has been computed already.
    pub(super) ages: RefCell<Memo<Ages>>,
}

impl Rules {
    /// The rules for this configuration and model.
    pub fn new(
        settings: Settings,
        tiers: Tiers,
        model: Option<Arc<Model>>,
        calendar: Calendar,
        currency: Currency,
    ) -> Self {
        let parameters = Parameters::new(&settings, model.as_deref(), currency);
        let usage_thresholds = UsageThresholds::new(settings.usage_false_alarms_per_customer_year);
        let ages = RefCell::new(Ages::table());
        Self { settings, tiers, model, calendar, currency, parameters, usage_thresholds, ages }
    }

    /// Purchase rates of the population: the model's, else the configured ones.
    pub fn prior(&self) -> &RatePrior {
        &self.parameters.prior
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::churn::testing::tiers;

    #[test]
    fn tiers_hold_from_their_bounds_and_give_the_severity() {
        let three = tiers();
        let cases = [(-5, 0, "low"), (0, 0, "low"), (19_999, 0, "low"), (20_000, 1, "medium")];
        for (net_minor, index, severity) in cases.into_iter().chain([(1_000_000, 2, "high")]) {
            assert_eq!(three.of(net_minor), index, "{net_minor}");
            assert_eq!(three.severity(index).as_str(), severity, "{net_minor}");
        }
        let one = Tiers::new(vec![Tier { name: "all".to_owned(), from_minor: 0 }]).unwrap();
        assert_eq!(one.severity(one.of(5)), Severity::Medium);
        assert!(!one.is_top(0));
    }

    #[test]
    fn tiers_out_of_order_are_refused_by_name() {
        let mut list = tiers().0;
        list.reverse();
        assert!(Tiers::new(list).unwrap_err().contains("`silver` must be above that of `gold`"));
        assert!(Tiers::new(Vec::new()).is_err());
    }
}
