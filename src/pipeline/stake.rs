//! What is at stake with a customer as of their last step: where they stand, and what the shop may
//! lose with them. Judges nothing anew. Called by `lookup` for its lists.

use super::Pipeline;
use crate::calendar::Day;
use crate::churn::{self, Lifecycle};
use crate::customer::{Customer, Driver};

/// One customer in a list. Amounts are in major units where they are floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stake {
    /// The value tier.
    pub tier: usize,
    /// The lifecycle.
    pub lifecycle: Lifecycle,
    /// What may be lost, as signals say it; 0 where nothing is known.
    pub value_at_risk: f64,
    /// Net revenue to date, in minor units.
    pub historic_minor: i128,
    /// Discounted value of the horizon; absent without a model.
    pub predicted: Option<f64>,
    /// The chance that the customer is still one; absent without a model.
    pub p_alive: Option<f64>,
    /// The last purchase day.
    pub last_order_on: Option<Day>,
    /// The day on which silence alone crosses the lapse line.
    pub lapses_on: Option<Day>,
    /// What fell, while an alarm of decline stands.
    pub driver: Option<Driver>,
}

impl Pipeline {
    /// What is at stake with a customer as of their last step.
    pub fn stake(&self, customer: &Customer) -> Stake {
        let today = self.rules.calendar.day(customer.path.as_of_ms);
        let historic_minor = customer.totals.net_revenue_minor();
        let tier = self.rules.tiers.of(historic_minor);
        let Some(reading) = churn::read(customer, today, &self.judging) else {
            return Stake {
                tier,
                lifecycle: Lifecycle::New,
                value_at_risk: 0.0,
                historic_minor,
                predicted: None,
                p_alive: None,
                last_order_on: None,
                lapses_on: None,
                driver: None,
            };
        };
        let prospects = self.prospects(customer, Some(&reading));
        let worth = self.worth(customer, &reading, &prospects);
        let trend = reading.trend(customer);
        Stake {
            tier,
            lifecycle: reading.lifecycle,
            value_at_risk: churn::at_stake(&worth, &reading, &trend, &self.judging).unwrap_or(0.0),
            historic_minor,
            predicted: prospects.predicted,
            p_alive: reading.p_alive,
            last_order_on: Some(reading.last),
            lapses_on: reading.deadlines.lapses_on,
            driver: trend.driver,
        }
    }
}
