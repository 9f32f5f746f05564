//! Customer lifetime value: the purchase models and what they say of one customer.
//!
//! `purchases` what a model knows of a customer · `rate_prior` silence of the living · `bg_nbd`
//! BG/NBD and MBG/NBD · `pareto_nbd` Pareto/NBD · `counts` the chance of each number of purchase
//! days to come · `gamma_gamma` spend · `model_file`, `model` the file, its faults, and the
//! validated model · `forecaster` the bounded table in front of the costly part · `season`,
//! `season_estimate` season-weighted time and its estimate · `formulas` the textbook values ·
//! `deadline` the day on which silence alone changes an answer · `quadrature`, `incomplete_beta`
//! two integration rules and a special function.
//!
//! Pure: numbers in, numbers out. Nothing here knows of money's minor units, of dates, or of how a
//! model was fitted. Ages come in whole days and are turned into weeks, the models' unit, in one
//! place. Every result is finite for every validated model, whatever the history.

mod bg_nbd;
mod counts;
mod deadline;
mod forecaster;
pub mod formulas;
mod gamma_gamma;
mod incomplete_beta;
mod memo;
mod model;
mod model_file;
mod pareto_nbd;
mod purchases;
mod quadrature;
mod rate_prior;
mod season;
mod season_estimate;
#[cfg(test)]
mod tests;

pub use deadline::AGE_DAYS_MAX;
pub use forecaster::{Alive, Forecaster, Horizon};
pub use memo::Memo;
pub use model::Model;
pub(crate) use model::{GAMMA_MAX, PARAMETER_MAX, PARAMETER_MIN, SCHEMA};
pub use model_file::{Evidence, ModelFile, Parameters, SeasonIndex, Spend};
pub(crate) use pareto_nbd::{Moment, each_moment_of_death};
pub use purchases::Purchases;
pub use rate_prior::RatePrior;
pub use season::{SEASON_PARTS, Season, part, whole_days};
pub use season_estimate::{ActiveDay, NoSeason, SEASON_YEARS_MIN, season};

/// Days in a week, the models' unit of time.
pub const DAYS_PER_WEEK: f64 = 7.0;

/// Weeks in a month, the field's convention: a month is 30.415 days.
pub const WEEKS_PER_MONTH: f64 = 4.345;

/// Whole days as weeks.
fn weeks(days: u32) -> f64 {
    f64::from(days) / DAYS_PER_WEEK
}

/// The integral of e^(−rate·v) over v from 0 to `span`, regular at rate 0.
fn decayed_span(rate: f64, span: f64) -> f64 {
    if rate == 0.0 { span } else { -libm::expm1(-rate * span) / rate }
}
