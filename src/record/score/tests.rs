//! Scores pinned byte for byte, both directions.

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
fn text_is_escaped_as_serde_json_escapes_it() {
    let ids = ["{", "a\"b\\c/", "\u{0}\u{1f}\t\r\n\u{7f}", "\u{2028}\u{fffd}😀", ",\"a\":{"];
    for id in ids {
        let score = Score { customer_id: id.into(), ..full() };
        let expect = format!(r#"1","customer_id":{},"as_of""#, serde_json::to_string(id).unwrap());
        let json = String::from_utf8(score.to_json()).unwrap();
        assert!(json.contains(&expect), "{json}");
        assert_eq!(Score::read(json.as_bytes()), Ok(score));
    }
}

#[test]
fn another_schema_is_not_read() {
    let json = String::from_utf8(full().to_json()).unwrap().replace("score/1", "score/2");
    assert_eq!(
        Score::read(json.as_bytes()),
        Err("unknown schema `lifetide.score/2`, expected `lifetide.score/1`".to_owned())
    );
}
