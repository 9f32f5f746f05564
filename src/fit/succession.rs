//! Whether a new fit may take the place of the model that is in use. Values in, a reason out.
//! Called by whoever fits on a schedule, where nobody looks at the result first.

use std::fmt;

use super::{Fitted, Statistics, log_likelihood};
use crate::clv::{Model, ModelFile, Purchases};

/// By what factor the orders that a model foresees may change from one fit to the next.
pub const CHANGE_MAX: f64 = 2.0;

/// Customers with a second purchase day, under which nothing is gone on with unasked.
pub const REPEATERS_MIN: u64 = 100;

/// … and how much a history must span.
pub const SPAN_DAYS_MIN: i32 = 12 * 7;

/// The weeks over which they are foreseen.
const HORIZON_WEEKS: f64 = 52.0;

/// Why a fit is held back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeldBack {
    /// The model in use explains the same customers better.
    Worse {
        /// By how much, in log-likelihood.
        by: f64,
    },
    /// The model in use tells death from rare buying, and this one does not.
    NotIdentifiable,
    /// The model in use knows what orders bring, and this one does not.
    NoSpend,
    /// It foresees more or less than the model in use by more than [`CHANGE_MAX`].
    WildlyDifferent {
        /// `orders` or `spend`.
        what: &'static str,
        /// What it foresees, as a multiple of that of the model in use.
        ratio: f64,
    },
}

impl HeldBack {
    /// The reason as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worse { .. } => "worse",
            Self::NotIdentifiable => "not_identifiable",
            Self::NoSpend => "no_spend",
            Self::WildlyDifferent { .. } => "wildly_different",
        }
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worse { by } => {
                write!(f, "the model in use explains the same customers better, by `{by:.3}`")
            }
            Self::NotIdentifiable => {
                write!(f, "it does not tell death from rare buying, and the model in use does")
            }
            Self::NoSpend => write!(f, "it has no `[spend]`, and the model in use has"),
            Self::WildlyDifferent { what, ratio } => write!(
                f,
                "it foresees `{ratio:.2}` times the {what} of the model in use, beyond a factor \
                 of `{CHANGE_MAX}`"
            ),
        }
    }
}

/// Why `fitted` may not take the place of `current`, if it may not. Both are held against the
/// customers of the new fit.
pub fn held_back(
    statistics: &Statistics,
    fitted: &Fitted,
    current: (&ModelFile, &Model),
) -> Option<HeldBack> {
    let evidence = fitted.file.evidence.clone().unwrap_or_default();
    if current.1.identifiable() && evidence.identifiable == Some(false) {
        return Some(HeldBack::NotIdentifiable);
    }
    let ours = evidence.log_likelihood.unwrap_or(f64::NEG_INFINITY);
    // A search ends within this of the maximum; less is no difference.
    let tolerance = 1e-6 * ours.abs();
    if let Some(theirs) = log_likelihood(statistics, current.0)
        && theirs > ours + tolerance
    {
        return Some(HeldBack::Worse { by: theirs - ours });
    }
    let model = Model::from_file(fitted.file.clone()).ok()?;
    let values = [&model, current.1].map(Model::population_mean_value);
    if let [None, Some(_)] = values {
        return Some(HeldBack::NoSpend);
    }
    let orders = foreseen(statistics, &model) / foreseen(statistics, current.1);
    let value = values[0].zip(values[1]).map_or(1.0, |(new, old)| new / old);
    [("orders", orders), ("spend", orders * value)].into_iter().find_map(|(what, ratio)| {
        // Where neither foresees anything there is nothing to compare.
        let is_wild = ratio.is_finite() && !(1.0 / CHANGE_MAX..=CHANGE_MAX).contains(&ratio);
        is_wild.then_some(HeldBack::WildlyDifferent { what, ratio })
    })
}

/// The orders that a model foresees of all customers.
fn foreseen(statistics: &Statistics, model: &Model) -> f64 {
    let of = |(purchases, n): (Purchases, f64)| {
        let alive = model.expected_orders_alive(purchases.x, purchases.t_days, HORIZON_WEEKS);
        n * alive * model.p_alive(&purchases)
    };
    statistics.customers().map(of).sum()
}
