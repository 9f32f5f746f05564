//! What an explanation holds, as JSON. What is unknown is left out; a figure that the score has too
//! is the score's. Computes nothing. Filled by this module, printed by `commands::explain`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::wire::{Date, Estimate, Money};

/// The figures behind a score, what they are made of, and what would change them.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Purchase days after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<u32>,
    /// Days from the first to the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_x_days: Option<u32>,
    /// Days from the first to `as_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t_days: Option<u32>,
    /// Net revenue of the days after the first.
    pub repeat_net: Money,
    /// The next day on which silence alone changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_changes_on: Option<Date>,
    /// Two to four plain sentences.
    pub sentences: Vec<String>,
    /// What the formulas are given.
    pub inputs: Inputs,
    /// What the figures are made of.
    pub pieces: Pieces,
    /// How far the lapse line is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lapse: Option<Lapse>,
    /// The evidence that spending falls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
    /// What comes without a purchase, ascending.
    pub ahead: Vec<Change>,
    /// What a purchase of the usual value at `as_of` would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purchase_today: Option<PurchaseToday>,
    /// The newest purchase days, newest first.
    pub purchase_days: Vec<PurchaseDay>,
}

/// What the formulas are given beside x, recency and age.
#[derive(Clone, Debug, Serialize)]
pub struct Inputs {
    /// The first purchase day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_order_on: Option<Date>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_order_on: Option<Date>,
    /// Mean days between purchase days up to the last; absent after a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_gap_days: Option<Estimate>,
    /// Whole days since the last purchase day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_silent: Option<u32>,
    /// `repeat_net` ÷ x.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_repeat_value: Option<Estimate>,
    /// `name/version` of the model, or `none`.
    pub model: String,
    /// Whether the model can tell leaving from rare buying; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifiable: Option<bool>,
    /// Of the purchase model; without one `r` and `alpha` of the configuration.
    pub parameters: BTreeMap<&'static str, f64>,
    /// Of the spend model.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spend: BTreeMap<&'static str, f64>,
    /// Figures of the score that are not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// Figures that the score leaves out.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// Their names.
    pub figures: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

/// What the figures of a score are made of. Absent where the score has no such figure.
#[derive(Clone, Debug, Serialize)]
pub struct Pieces {
    /// 1 ÷ (1 + e^D).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_alive: Option<PAlive>,
    /// base ^ exponent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_tail: Option<SilenceTail>,
    /// `if_alive` × `p_alive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_orders: Option<ExpectedOrders>,
    /// The two means, weighted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_order_value: Option<ExpectedValue>,
    /// `p_alive` × `discounted_orders_if_alive` × `expected_order_value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,
    /// `average_order_value` × `orders_per_month` × `retention_months`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<Formula>,
    /// `average_order_value` × `orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simple: Option<Simple>,
    /// `gross` − `refunded`.
    pub historic: Historic,
    /// `historic` + `predicted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Total>,
}

/// The chance that the customer is still one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PAlive {
    /// `churn.p_alive`.
    pub value: Estimate,
    /// D, the logarithm of the odds of death; absent where that is ruled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_odds_of_death: Option<Estimate>,
}

/// The chance of this silence of a living customer, ((α + `t_x`) ÷ (α + T))^(r + x), in weeks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SilenceTail {
    /// `churn.silence_tail`.
    pub value: Estimate,
    /// (α + `t_x`) ÷ (α + T).
    pub base: Estimate,
    /// r + x.
    pub exponent: Estimate,
}

/// Purchase days to come.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExpectedOrders {
    /// `churn.expected_orders`.
    pub value: Estimate,
    /// Those of a living customer.
    pub if_alive: Estimate,
    /// The chance of being one.
    pub p_alive: Estimate,
    /// Over so many days.
    pub days: u32,
}

/// The value of a purchase day to come, in major units.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ExpectedValue {
    /// `churn.expected_order_value`.
    pub value: Estimate,
    /// The mean of the customer's repeat days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_mean: Option<Estimate>,
    /// How much of it counts; the rest is the population's.
    pub own_weight: Estimate,
    /// The mean of the population.
    pub population_mean: Estimate,
}

/// The discounted value of the months to come, in major units.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Predicted {
    /// `clv.predicted`.
    pub value: Estimate,
    /// The chance of being alive.
    pub p_alive: Estimate,
    /// Purchase days of a living customer, those of the i-th month ÷ (1 + discount)^i.
    pub discounted_orders_if_alive: Estimate,
    /// The value of each.
    pub expected_order_value: Estimate,
    /// How many months.
    pub months: u32,
    /// The discount a month.
    pub discount_monthly: f64,
}

/// The articles' formula, in major units.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Formula {
    /// `clv.formula`.
    pub value: Estimate,
    /// Gross ÷ orders.
    pub average_order_value: Estimate,
    /// Orders ÷ age in months, which counts as one at least.
    pub orders_per_month: Estimate,
    /// `model.retention_months`.
    pub retention_months: u32,
}

/// The simplest value, in major units.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Simple {
    /// `clv.simple`.
    pub value: Estimate,
    /// Gross ÷ orders.
    pub average_order_value: Estimate,
    /// Orders completed and not cancelled.
    pub orders: u64,
}

/// What the customer has brought.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Historic {
    /// `clv.historic`.
    pub value: Money,
    /// Sum of the orders.
    pub gross: Money,
    /// Sum of the refunds.
    pub refunded: Money,
}

/// Past and future, in major units.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Total {
    /// `clv.total`.
    pub value: Estimate,
    /// What the customer has brought.
    pub historic: Money,
    /// What is predicted.
    pub predicted: Estimate,
}

/// How far the lapse line is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Lapse {
    /// What draws it: `p_alive`, `silence_tail` or `days_single`.
    pub line: &'static str,
    /// Where that stands; `days_single` in days since the only purchase.
    pub now: Estimate,
    /// Where the customer lapses: at most this, of days at least.
    pub at: Estimate,
    /// No customer lapses before this day.
    pub not_before: Date,
    /// `churn.lapses_on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lapses_on: Option<Date>,
    /// At risk from a silence tail of at most this.
    pub at_risk_silence_tail: f64,
    /// The day of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_risk_on: Option<Date>,
    /// The alarm, where it stands: a later purchase that brings the customer back over the line
    /// clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
}

/// An alarm that stands.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Alarm {
    /// The day on which it was raised; only a purchase after it clears it.
    pub raised_on: Date,
    /// The day on which it began.
    pub since: Date,
    /// What fell.
    pub driver: &'static str,
}

/// The evidence that spending falls.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Decline {
    /// Purchase days up to 56 days ago, from which the score compares.
    pub baseline_purchase_days: u32,
    /// How many a comparison needs, and a channel.
    pub baseline_purchase_days_needed: u32,
    /// How busy the season of the day is, against 1 on average; absent without a season index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub season_weight: Option<Estimate>,
    /// How often.
    pub orders: Channel,
    /// How much an order.
    pub basket: Channel,
}

/// One channel of evidence.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Channel {
    /// 0 for none.
    pub evidence: Estimate,
    /// An alarm is raised here; absent while there is no baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Estimate>,
    /// A purchase that brings the evidence below clears an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clears_below: Option<Estimate>,
    /// The purchase day whose baseline is in force.
    pub baseline_on: Date,
    /// Purchase days by 56 days before it.
    pub baseline_purchase_days: u32,
    /// Of the orders: purchase days a week of an average season by which they are judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_purchase_days_per_week: Option<Estimate>,
    /// Of the basket: the mean by which it is judged, in major units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_basket: Option<Estimate>,
    /// The day on which the evidence last left 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Date>,
    /// The alarm, where it stands; its baseline is frozen on `baseline_on`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
}

/// What silence brings on one day.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The day.
    pub on: Date,
    /// `at_risk`, `lapsed`, `orders_alarm`, `basket_alarm`, `usage_alarm`,
    /// `score_published` or `next_order_expected`.
    pub what: &'static str,
    /// The same in words, without a full stop.
    pub says: String,
    /// The lifecycle from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<&'static str>,
    /// The chance of being alive on that day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_alive: Option<Estimate>,
    /// The signal that is published; absent where none is, or too soon after the last of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<&'static str>,
}

/// What a purchase would change.
#[derive(Clone, Debug, Serialize)]
pub struct PurchaseToday {
    /// Its value: the average of the customer's orders.
    pub value: Money,
    /// `segment.lifecycle`.
    pub lifecycle: Shift<String>,
    /// `churn.p_alive`.
    pub p_alive: Shift<Estimate>,
    /// `churn.expected_orders`.
    pub expected_orders: Shift<Estimate>,
    /// `clv.predicted`.
    pub predicted: Shift<Estimate>,
    /// `churn.lapses_on`.
    pub lapses_on: Shift<Date>,
    /// The signals that would be published.
    pub signals: Vec<&'static str>,
}

/// A figure before and after.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shift<T> {
    /// As it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<T>,
    /// As it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<T>,
}

/// A purchase day.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PurchaseDay {
    /// The day.
    pub on: Date,
    /// Its orders that stand.
    pub orders: u32,
    /// What they brought after refunds.
    pub net: Money,
}
