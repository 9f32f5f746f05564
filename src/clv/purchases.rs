//! What the models know of a customer: three whole numbers. Defines no arithmetic on money and no
//! state. Built by the customer's ledger, read by every model of this module.

use super::{DAYS_PER_WEEK, weeks};

/// The purchase history in the field's terms (Fader and Hardie): counts of purchase days and ages
/// in whole days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchases {
    /// Purchase days after the first (the *frequency*, x).
    pub x: u32,
    /// Days from the first purchase day to the last (the *recency*, `t_x`); 0 when `x` is 0.
    pub t_x_days: u32,
    /// Days from the first purchase day to today (the *age*, T); at least `t_x_days`.
    pub t_days: u32,
}

impl Purchases {
    /// Weeks since the last purchase day.
    pub(super) fn silence_weeks(&self) -> f64 {
        f64::from(self.t_days.saturating_sub(self.t_x_days)) / DAYS_PER_WEEK
    }

    /// Weeks from the first purchase day to the last.
    pub(super) fn t_x_weeks(&self) -> f64 {
        weeks(self.t_x_days)
    }
}
