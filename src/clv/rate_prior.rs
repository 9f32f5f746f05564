//! The gamma prior of purchase rates, which all models share and which `churn` also uses without a
//! model: the chance of a silence while the customer lives. Says nothing of death. Called by
//! `churn`, `bg_nbd` and `pareto_nbd`.

use super::deadline::first_day;
use super::{Purchases, weeks};

/// Purchase days a week vary between customers as a gamma distribution (the NBD model: Ehrenberg
/// 1959; Schmittlein, Morrison and Colombo 1987).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePrior {
    /// Shape, a number of purchase days; positive.
    pub r: f64,
    /// Rate, in weeks; positive. The mean is `r / alpha_weeks` purchase days a week.
    pub alpha_weeks: f64,
}

impl RatePrior {
    /// The chance that a living customer with this history stays silent at least this long:
    /// S = ((alpha + `t_x`) / (alpha + T))^(r + x). 1 on the day of a purchase.
    pub fn silence_tail(&self, purchases: &Purchases) -> f64 {
        libm::exp(-self.ln_odds_growth(purchases))
    }

    /// The smallest age in whole days, at least `t_x_days`, at which [`Self::silence_tail`] is at
    /// most `tail`; `None` when that lies above 100 years.
    pub fn silence_tail_falls_to(&self, x: u32, t_x_days: u32, tail: f64) -> Option<u32> {
        let silence_weeks = self.silence_weeks(x, t_x_days, -libm::log(tail));
        first_day(t_x_days, silence_weeks, |t_days| {
            self.silence_tail(&Purchases { x, t_x_days, t_days }) <= tail
        })
    }

    /// The age in whole days by which a living customer has bought again with a chance of one half;
    /// `None` when that lies above 100 years.
    pub fn next_order_median_days(&self, x: u32, t_x_days: u32) -> Option<u32> {
        self.silence_tail_falls_to(x, t_x_days, 0.5)
    }

    /// r + x: the shape of the rate's distribution after `x` purchase days.
    pub(super) fn shape(&self, x: u32) -> f64 {
        self.r + f64::from(x)
    }

    /// −ln S: by how much silence has raised the log-odds of death.
    pub(super) fn ln_odds_growth(&self, purchases: &Purchases) -> f64 {
        let scale = self.alpha_weeks + purchases.t_x_weeks();
        self.shape(purchases.x) * libm::log1p(purchases.silence_weeks() / scale)
    }

    /// The weeks of silence after which −ln S reaches `growth`.
    pub(super) fn silence_weeks(&self, x: u32, t_x_days: u32, growth: f64) -> f64 {
        (self.alpha_weeks + weeks(t_x_days)) * libm::expm1(growth / self.shape(x))
    }
}
