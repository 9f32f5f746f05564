//! The score of one customer as JSON, schema `lifetide.score/1`, both directions. What is unknown
//! is left out. Filled by `pipeline::assess`, written to the scores topic and by `replay`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::wire::{Date, Estimate, Moment, Money};

/// The schema name of this form.
pub const SCHEMA: &str = "lifetide.score/1";

/// Everything that is known of a customer at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Source>,
}

/// What happened, by the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Orders completed and not cancelled.
    pub orders: u64,
    /// Days with at least one standing order.
    pub purchase_days: u32,
    /// The first purchase day.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_order_on: Option<Date>,
    /// The last purchase day.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_order_on: Option<Date>,
    /// Sum of the orders.
    pub gross: Money,
    /// Sum of the refunds, matched to an order or not.
    pub refunded: Money,
    /// `gross` less `refunded`.
    pub net_revenue: Money,
    /// `gross` ÷ `orders`, major units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub average_order_value: Option<Estimate>,
    /// Carts left behind.
    pub carts_abandoned: u64,
    /// What winning the customer cost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acquisition_cost: Option<Money>,
}

/// Worth, in major units where it is an estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clv {
    /// Net revenue to date.
    pub historic: Money,
    /// Average order value × orders.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub simple: Option<Estimate>,
    /// Average order value × orders a month × `model.retention_months`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub formula: Option<Estimate>,
    /// Discounted value of the coming `model.horizon_months`, by the model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub predicted: Option<Estimate>,
    /// `historic` + `predicted`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<Estimate>,
    /// `total` (without a model `historic`) ÷ acquisition cost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to_acquisition_cost: Option<Estimate>,
}

/// Whether the customer is still there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Churn {
    /// The chance that the customer is still one, by the model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p_alive: Option<Estimate>,
    /// Purchase days expected over `model.orders_horizon_days`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_orders: Option<Estimate>,
    /// Value expected of a purchase day, major units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_order_value: Option<Estimate>,
    /// The chance that a living customer is silent this long; 1 = just bought.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub silence_tail: Option<Estimate>,
    /// The day by which half of living customers like this one have bought again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_order_expected_on: Option<Date>,
    /// The day on which silence alone crosses the lapse line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lapses_on: Option<Date>,
}

/// Whether spending falls against the customer's own past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend<'a> {
    /// `unknown`, `steady` or `falling`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    /// The day on which the crossing channel last left 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Date>,
    /// `frequency`, `basket`, `both` or `silence`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub driver: Option<Cow<'a, str>>,
    /// Purchase days a day in the last 56 days against before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub orders_ratio: Option<Estimate>,
    /// Net a standing order in the last 56 days against before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub basket_ratio: Option<Estimate>,
    /// Their product.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spend_ratio: Option<Estimate>,
    /// `none`, `low` or `high`.
    #[serde(borrow)]
    pub confidence: Cow<'a, str>,
}

/// Where the customer belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment<'a> {
    /// The value tier's name.
    #[serde(borrow)]
    pub value: Cow<'a, str>,
    /// The lifecycle's name.
    #[serde(borrow)]
    pub lifecycle: Cow<'a, str>,
}

/// The place of an event in the input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Partition of the input topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

impl<'a> Score<'a> {
    /// The record's value.
    pub fn to_json(&self) -> Vec<u8> {
        super::wire::to_json(self, 1024)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Day;
    use crate::money::Currency;

    fn check(score: &Score<'_>, json: &str) {
        assert_eq!(String::from_utf8(score.to_json()).unwrap(), json);
        assert_eq!(Score::read(json.as_bytes()).as_ref(), Ok(score));
    }

    fn usd(minor: i128) -> Money {
        Money::new(minor, Currency::parse("USD").unwrap())
    }

    fn day(day: i32) -> Date {
        Date(Day(19_723 + day))
    }

    /// A customer of whom nothing is known but that a cart was left behind.
    fn minimal() -> Score<'static> {
        Score {
            schema: SCHEMA.into(),
            customer_id: "o'\"neil\u{e9}".into(),
            as_of: Moment(1_714_564_800_007),
            cause: "event".into(),
            currency: "USD".into(),
            history: History {
                orders: 0,
                purchase_days: 0,
                first_order_on: None,
                last_order_on: None,
                gross: usd(0),
                refunded: usd(5),
                net_revenue: usd(-5),
                average_order_value: None,
                carts_abandoned: 1,
                acquisition_cost: None,
            },
            clv: Clv {
                historic: usd(-5),
                simple: None,
                formula: None,
                predicted: None,
                total: None,
                to_acquisition_cost: None,
            },
            churn: Churn::default(),
            trend: Trend {
                state: "unknown".into(),
                since: None,
                driver: None,
                orders_ratio: None,
                basket_ratio: None,
                spend_ratio: None,
                confidence: "none".into(),
            },
            segment: Segment { value: "bronze".into(), lifecycle: "new".into() },
            model: "none".into(),
            source: None,
        }
    }

    fn full() -> Score<'static> {
        Score {
            customer_id: "c-17".into(),
            cause: "time".into(),
            history: History {
                orders: 12,
                purchase_days: 11,
                first_order_on: Some(day(0)),
                last_order_on: Some(day(70)),
                gross: usd(123_456),
                refunded: usd(456),
                net_revenue: usd(123_000),
                average_order_value: Estimate::of(102.88),
                carts_abandoned: 2,
                acquisition_cost: Some(usd(1500)),
            },
            clv: Clv {
                historic: usd(123_000),
                simple: Estimate::of(1234.56),
                formula: Estimate::of(7512.25),
                predicted: Estimate::of(456.789_012_34),
                total: Estimate::of(1686.789),
                to_acquisition_cost: Estimate::of(112.4526),
            },
            churn: Churn {
                p_alive: Estimate::of(0.25),
                expected_orders: Estimate::of(4.5),
                expected_order_value: Estimate::of(101.5),
                silence_tail: Estimate::of(0.012_345_678_9),
                next_order_expected_on: Some(day(80)),
                lapses_on: Some(day(100)),
            },
            trend: Trend {
                state: "falling".into(),
                since: Some(day(60)),
                driver: Some("silence".into()),
                orders_ratio: Estimate::of(0.5),
                basket_ratio: Estimate::of(0.8),
                spend_ratio: Estimate::of(0.4),
                confidence: "high".into(),
            },
            segment: Segment { value: "silver".into(), lifecycle: "lapsed".into() },
            model: "mbg-nbd/7".into(),
            source: Some(Source { partition: 3, offset: 42 }),
            ..minimal()
        }
    }

    #[test]
    fn the_bytes_of_a_full_score_are_pinned_and_read_back() {
        let json = concat!(
            r#"{"schema":"lifetide.score/1","customer_id":"c-17","#,
            r#""as_of":"2024-05-01T12:00:00.007Z","cause":"time","currency":"USD","#,
            r#""history":{"orders":12,"purchase_days":11,"first_order_on":"2024-01-01","#,
            r#""last_order_on":"2024-03-11","gross":"1234.56","refunded":"4.56","#,
            r#""net_revenue":"1230.00","average_order_value":102.88,"carts_abandoned":2,"#,
            r#""acquisition_cost":"15.00"},"#,
            r#""clv":{"historic":"1230.00","simple":1234.56,"formula":7512.25,"#,
            r#""predicted":456.78901,"total":1686.789,"to_acquisition_cost":112.4526},"#,
            r#""churn":{"p_alive":0.25,"expected_orders":4.5,"expected_order_value":101.5,"#,
            r#""silence_tail":0.012345679,"next_order_expected_on":"2024-03-21","#,
            r#""lapses_on":"2024-04-10"},"#,
            r#""trend":{"state":"falling","since":"2024-03-01","driver":"silence","#,
            r#""orders_ratio":0.5,"basket_ratio":0.8,"spend_ratio":0.4,"confidence":"high"},"#,
            r#""segment":{"value":"silver","lifecycle":"lapsed"},"#,
            r#""model":"mbg-nbd/7","source":{"partition":3,"offset":42}}"#,
        );
        check(&full(), json);
    }

    #[test]
    fn what_is_unknown_is_left_out_of_a_score() {
        let json = concat!(
            r#"{"schema":"lifetide.score/1","customer_id":"o'\"neilé","#,
            r#""as_of":"2024-05-01T12:00:00.007Z","cause":"event","currency":"USD","#,
            r#""history":{"orders":0,"purchase_days":0,"gross":"0.00","refunded":"0.05","#,
            r#""net_revenue":"-0.05","carts_abandoned":1},"clv":{"historic":"-0.05"},"churn":{},"#,
            r#""trend":{"state":"unknown","confidence":"none"},"#,
            r#""segment":{"value":"bronze","lifecycle":"new"},"model":"none"}"#,
        );
        check(&minimal(), json);
    }

    #[test]
    fn another_schema_is_not_read() {
        let json = String::from_utf8(full().to_json()).unwrap().replace("score/1", "score/2");
        assert_eq!(
            Score::read(json.as_bytes()),
            Err("unknown schema `lifetide.score/2`, expected `lifetide.score/1`".to_owned())
        );
    }
}
