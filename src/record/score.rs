//! The score of one customer as JSON, schema `lifetide.score/1`, both directions. What is unknown
//! is left out. Filled by `pipeline::assess`, written to the scores topic and by `replay`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Deserialize;

use super::object::{Object, name, write_object};
use super::wire::{Date, Estimate, Moment, Money};

/// The schema name of this form.
pub const SCHEMA: &str = "lifetide.score/1";

/// Room for nearly all scores.
const JSON_BYTES_LIKELY: usize = 1024;

/// Everything that is known of a customer at one instant.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Score<'a> {
    /// Always [`SCHEMA`].
    #[serde(borrow)]
    pub schema: Cow<'a, str>,
    /// Whose score this is; the record's key.
    #[serde(borrow)]
    pub customer_id: Cow<'a, str>,
    /// Stream time right after the customer's last change or timer.
    pub as_of: Moment,
    /// What made this score: `event` or `time`.
    #[serde(borrow)]
    pub cause: Cow<'a, str>,
    /// The currency of every amount here.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
    /// What happened.
    pub history: History,
    /// Worth, past and predicted.
    pub clv: Clv,
    /// Whether the customer is still there.
    pub churn: Churn,
    /// Whether spending falls.
    #[serde(borrow)]
    pub trend: Trend<'a>,
    /// Where the customer belongs.
    #[serde(borrow)]
    pub segment: Segment<'a>,
    /// `name/version` of the model, or `none`.
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    /// The last event that this score includes; absent in `replay`.
    #[serde(default)]
    pub source: Option<Source>,
}

/// What happened, by the ledger.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct History {
    /// Orders completed and not cancelled.
    pub orders: u64,
    /// Days with at least one standing order.
    pub purchase_days: u32,
    /// The first purchase day.
    #[serde(default)]
    pub first_order_on: Option<Date>,
    /// The last purchase day.
    #[serde(default)]
    pub last_order_on: Option<Date>,
    /// Sum of the orders.
    pub gross: Money,
    /// Sum of the refunds, matched to an order or not.
    pub refunded: Money,
    /// `gross` less `refunded`.
    pub net_revenue: Money,
    /// `gross` ÷ `orders`, major units.
    #[serde(default)]
    pub average_order_value: Option<Estimate>,
    /// Carts left behind.
    pub carts_abandoned: u64,
    /// What winning the customer cost.
    #[serde(default)]
    pub acquisition_cost: Option<Money>,
}

/// Worth, in major units where it is an estimate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Clv {
    /// Net revenue to date.
    pub historic: Money,
    /// Average order value × orders.
    #[serde(default)]
    pub simple: Option<Estimate>,
    /// Average order value × orders a month × `model.retention_months`.
    #[serde(default)]
    pub formula: Option<Estimate>,
    /// Discounted value of the coming `model.horizon_months`, by the model.
    #[serde(default)]
    pub predicted: Option<Estimate>,
    /// `historic` + `predicted`.
    #[serde(default)]
    pub total: Option<Estimate>,
    /// `total` (without a model `historic`) ÷ acquisition cost.
    #[serde(default)]
    pub to_acquisition_cost: Option<Estimate>,
}

/// Whether the customer is still there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Churn {
    /// The chance that the customer is still one, by the model.
    #[serde(default)]
    pub p_alive: Option<Estimate>,
    /// Purchase days expected over `model.orders_horizon_days`.
    #[serde(default)]
    pub expected_orders: Option<Estimate>,
    /// Value expected of a purchase day, major units.
    #[serde(default)]
    pub expected_order_value: Option<Estimate>,
    /// The chance that a living customer is silent this long; 1 = just bought.
    #[serde(default)]
    pub silence_tail: Option<Estimate>,
    /// The day by which half of living customers like this one have bought again.
    #[serde(default)]
    pub next_order_expected_on: Option<Date>,
    /// The day on which silence alone crosses the lapse line.
    #[serde(default)]
    pub lapses_on: Option<Date>,
}

/// Whether spending falls against the customer's own past.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Trend<'a> {
    /// `unknown`, `steady` or `falling`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    /// The day on which the crossing channel last left 0.
    #[serde(default)]
    pub since: Option<Date>,
    /// `frequency`, `basket`, `both` or `silence`.
    #[serde(borrow, default)]
    pub driver: Option<Cow<'a, str>>,
    /// Purchase days a day in the last 56 days against before.
    #[serde(default)]
    pub orders_ratio: Option<Estimate>,
    /// Net a standing order in the last 56 days against before.
    #[serde(default)]
    pub basket_ratio: Option<Estimate>,
    /// Their product.
    #[serde(default)]
    pub spend_ratio: Option<Estimate>,
    /// `none`, `low` or `high`.
    #[serde(borrow)]
    pub confidence: Cow<'a, str>,
}

/// Where the customer belongs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Segment<'a> {
    /// The value tier's name.
    #[serde(borrow)]
    pub value: Cow<'a, str>,
    /// The lifecycle's name.
    #[serde(borrow)]
    pub lifecycle: Cow<'a, str>,
}

/// The place of an event in the input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// Partition of the input topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

impl<'a> Score<'a> {
    /// The record's value.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(JSON_BYTES_LIKELY);
        write_object(&mut json, |score| self.write(score));
        json
    }

    fn write(&self, score: &mut Object<'_>) {
        score.field(name!("schema"), &self.schema);
        score.field(name!("customer_id"), &self.customer_id);
        score.field(name!("as_of"), &self.as_of);
        score.field(name!("cause"), &self.cause);
        score.field(name!("currency"), &self.currency);
        score.object(name!("history"), |history| self.history.write(history));
        score.object(name!("clv"), |clv| self.clv.write(clv));
        score.object(name!("churn"), |churn| self.churn.write(churn));
        score.object(name!("trend"), |trend| self.trend.write(trend));
        score.object(name!("segment"), |segment| {
            segment.field(name!("value"), &self.segment.value);
            segment.field(name!("lifecycle"), &self.segment.lifecycle);
        });
        score.field(name!("model"), &self.model);
        if let Some(Source { partition, offset }) = self.source {
            score.object(name!("source"), |source| {
                source.field(name!("partition"), &i64::from(partition));
                source.field(name!("offset"), &offset);
            });
        }
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// The JSON fault, or a schema that this program does not know.
    pub fn read(json: &'a [u8]) -> Result<Self, String> {
        let score: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if score.schema != SCHEMA {
            return Err(format!("unknown schema `{}`, expected `{SCHEMA}`", score.schema));
        }
        Ok(score)
    }
}

impl History {
    fn write(&self, history: &mut Object<'_>) {
        history.field(name!("orders"), &self.orders);
        history.field(name!("purchase_days"), &u64::from(self.purchase_days));
        history.known(name!("first_order_on"), self.first_order_on.as_ref());
        history.known(name!("last_order_on"), self.last_order_on.as_ref());
        history.field(name!("gross"), &self.gross);
        history.field(name!("refunded"), &self.refunded);
        history.field(name!("net_revenue"), &self.net_revenue);
        history.known(name!("average_order_value"), self.average_order_value.as_ref());
        history.field(name!("carts_abandoned"), &self.carts_abandoned);
        history.known(name!("acquisition_cost"), self.acquisition_cost.as_ref());
    }
}

impl Clv {
    fn write(&self, clv: &mut Object<'_>) {
        clv.field(name!("historic"), &self.historic);
        clv.known(name!("simple"), self.simple.as_ref());
        clv.known(name!("formula"), self.formula.as_ref());
        clv.known(name!("predicted"), self.predicted.as_ref());
        clv.known(name!("total"), self.total.as_ref());
        clv.known(name!("to_acquisition_cost"), self.to_acquisition_cost.as_ref());
    }
}

impl Churn {
    fn write(&self, churn: &mut Object<'_>) {
        churn.known(name!("p_alive"), self.p_alive.as_ref());
        churn.known(name!("expected_orders"), self.expected_orders.as_ref());
        churn.known(name!("expected_order_value"), self.expected_order_value.as_ref());
        churn.known(name!("silence_tail"), self.silence_tail.as_ref());
        churn.known(name!("next_order_expected_on"), self.next_order_expected_on.as_ref());
        churn.known(name!("lapses_on"), self.lapses_on.as_ref());
    }
}

impl Trend<'_> {
    fn write(&self, trend: &mut Object<'_>) {
        trend.field(name!("state"), &self.state);
        trend.known(name!("since"), self.since.as_ref());
        trend.known(name!("driver"), self.driver.as_ref());
        trend.known(name!("orders_ratio"), self.orders_ratio.as_ref());
        trend.known(name!("basket_ratio"), self.basket_ratio.as_ref());
        trend.known(name!("spend_ratio"), self.spend_ratio.as_ref());
        trend.field(name!("confidence"), &self.confidence);
    }
}
