//! The price of the decline signals, by simulation: makes the table of thresholds, and measures
//! what it costs and finds. It runs the channels of `churn` themselves, on customers drawn from a
//! seed. Judges no real customer. Called by the command `calibrate`.
//!
//! - `life`: one simulated customer under watch;
//! - `remake`: the search for the thresholds, and the table as source text;
//! - `measure`: false alarms, detection and drivers under the thresholds in force;
//! - `user`, `usage`: the same for the usage channel: one simulated user, search and measures.
//!
//! The population: purchase rates are gamma distributed with shape 2 about a mean; baskets are
//! gamma with a coefficient of variation of 0.6 about a customer's own mean, itself log-normal.
//! Everyone is watched for 130 weeks from the first purchase, by a prior that fits; alarms count
//! from week 26, once the baseline holds three purchase days. Users are of fifteen habits, from
//! monthly to many times a day and from erratic to steady, for as long; their alarms count from
//! week 26 too, in weeks with enough to compare with.

mod life;
mod measure;
mod remake;
#[cfg(test)]
mod tests;
mod usage;
mod user;

pub use measure::{Report, measure};
pub use remake::{Remade, SEED, remake, remake_alarms};
pub use usage::{FOUND_WEEKS, UsageAlarms, UsageFound, UsageReport, measure_usage, remake_usage};
pub use user::Habit;
