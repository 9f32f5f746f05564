//! What the customers are worth together, and what moves it: each customer counts with a share, and
//! the change from one share to the next is attributed to what drove it, so that the parts add up
//! to the total exactly. Pure arithmetic on shares: it judges nobody and knows no model. `pipeline`
//! makes the shares; `engine` and `replay` add them up, `metrics` shows the sums.
//!
//! `attribution` from one share to the next · `census` sums over customers and over changes ·
//! `course` the latter over time

mod attribution;
mod census;
mod course;

pub use attribution::{Parts, attribute};
pub use census::{Cell, Census, Change, Changes};
pub use course::{Course, POINTS_MAX, Point};

use crate::churn::Lifecycle;

/// What moves the value of the population.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The chance that customers are still there: silence lowers it, an order restores it.
    Retention,
    /// How often the living are expected to order.
    Frequency,
    /// How much an order is expected to bring.
    Basket,
    /// First orders; downwards, first orders that were taken back.
    New,
    /// Customers who lapsed, with all that they still counted.
    Lost,
    /// Customers who came back after a lapse.
    Recovered,
    /// Customers who were forgotten.
    Erased,
    /// Another model.
    Model,
}

impl Effect {
    /// Every effect, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Retention,
        Self::Frequency,
        Self::Basket,
        Self::New,
        Self::Lost,
        Self::Recovered,
        Self::Erased,
        Self::Model,
    ];

    /// As published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Frequency => "frequency",
            Self::Basket => "basket",
            Self::New => "new",
            Self::Lost => "lost",
            Self::Recovered => "recovered",
            Self::Erased => "erased",
            Self::Model => "model",
        }
    }
}

/// Whether a customer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// No order stands: not a customer yet, or not any more.
    #[default]
    Absent,
    /// Counts.
    Present,
    /// Beyond the lapse line: counts with nothing until they come back.
    Lapsed,
}

/// The value of a customer as a product.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factors {
    /// The chance that the customer is alive.
    pub retention: f64,
    /// Discounted orders expected of the customer if alive.
    pub frequency: f64,
    /// The value expected of an order, in minor units.
    pub basket: f64,
}

/// Where a customer counts, and with how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The value tier.
    pub tier: usize,
    /// The lifecycle.
    pub lifecycle: Lifecycle,
    /// The value in minor units, at least 0 and at most [`VALUE_MINOR_MAX`].
    pub value_minor: i64,
}

/// What one customer counts with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Where, and with how much.
    pub place: Place,
    /// Whether the customer counts at all.
    pub presence: Presence,
    /// What the value is made of; all 0 where nothing is predicted.
    pub factors: Factors,
}

/// No customer counts with more: below it whole numbers are exact as floats, and no sum overflows.
pub const VALUE_MINOR_MAX: i64 = 1 << 53;

impl Share {
    /// The share of a customer of this tier and lifecycle; without `predicted`, the product of the
    /// factors in minor units, it is 0.
    pub fn new(
        tier: usize,
        lifecycle: Lifecycle,
        has_order: bool,
        predicted: Option<(f64, Factors)>,
    ) -> Self {
        let presence = match lifecycle {
            _ if !has_order => Presence::Absent,
            Lifecycle::Lapsed => Presence::Lapsed,
            Lifecycle::AtRisk
            | Lifecycle::Declining
            | Lifecycle::Recovered
            | Lifecycle::New
            | Lifecycle::Active => Presence::Present,
        };
        let predicted = predicted.filter(|_| presence == Presence::Present);
        let (value, factors) = predicted.unwrap_or_default();
        let value_minor = whole(libm::round(value)).max(0);
        Self { place: Place { tier, lifecycle, value_minor }, presence, factors }
    }

    /// The value in minor units.
    pub fn value_minor(&self) -> i64 {
        self.place.value_minor
    }
}

/// A whole number that was computed as a float, held within [`VALUE_MINOR_MAX`]; 0 for none.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and within 2^53")]
#[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
fn whole(value: f64) -> i64 {
    let max = VALUE_MINOR_MAX as f64;
    value.clamp(-max, max) as i64
}
