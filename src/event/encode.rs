//! An event as the compact JSON that `decode` reads back to the same event.
//! Called by the demo's shop and the tests; never on the way in.

use compact_str::CompactString;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Body, Event};
use crate::calendar::rfc3339;
use crate::money::{Amount, format_minor};

/// The fields in the order in which they are written.
#[derive(Serialize)]
struct Written<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    customer_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    occurred_at: CompactString,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<CompactString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<CompactString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
}

impl Event {
    /// Compact JSON: money as decimal strings with its currency, `occurred_at` as RFC 3339 in UTC
    /// with milliseconds. For every event that [`decode`](super::decode()) accepted it reads this
    /// back to an equal event.
    ///
    /// # Panics
    /// Never: strings and numbers under fixed names are always JSON.
    pub fn encode(&self) -> Vec<u8> {
        let decimal =
            |amount: &Amount| format_minor(i128::from(amount.minor), amount.currency.decimals());
        let (amount, cost, quantity) = match &self.body {
            Body::OrderCompleted(amount) | Body::OrderRefunded(amount) => {
                (Some(amount), None, None)
            }
            Body::AcquisitionRecorded(cost) => (None, Some(cost), None),
            Body::UsageRecorded { thousandths } => (None, None, Some(number(*thousandths))),
            Body::OrderCancelled
            | Body::CartAbandoned
            | Body::SupportContacted
            | Body::CustomerErased => (None, None, None),
        };
        let written = Written {
            r#type: self.kind().as_str(),
            event_id: self.event_id.as_deref(),
            customer_id: &self.customer_id,
            order_id: self.order_id.as_deref(),
            occurred_at: rfc3339(self.occurred_at_ms),
            amount: amount.map(decimal),
            cost: cost.map(decimal),
            currency: amount.or(cost).map(|money| money.currency.code()),
            quantity,
            channel: self.channel.as_deref(),
        };
        serde_json::to_vec(&written).expect("a struct of strings and numbers is JSON")
    }
}

/// Thousandths as a plain decimal number without idle zeros.
fn number(thousandths: u64) -> Box<RawValue> {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    let text = if rest == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
    };
    RawValue::from_string(text).expect("digits with one point are a JSON number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Envelope, Intake, decode};
    use crate::money::{Currency, Rates};

    fn check(body: Body, expect: &str) {
        let event = Event {
            customer_id: "c1".into(),
            occurred_at_ms: 1_704_067_200_007,
            event_id: None,
            order_id: matches!(body, Body::OrderCancelled).then(|| "o1".into()),
            channel: None,
            body,
        };
        check_event(&event, expect);
    }

    fn check_event(event: &Event, expect: &str) {
        let bytes = event.encode();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expect);
        let currency = Currency::parse("EUR").unwrap();
        let intake = Intake { currency, rates: Rates::default(), future_skew_max_ms: None };
        let key = Some(event.customer_id.as_bytes());
        let envelope = Envelope { payload: Some(&bytes), key, timestamp_ms: None };
        assert_eq!(decode(envelope, &intake).unwrap(), *event);
    }

    #[test]
    fn each_type_is_written_compactly_and_reads_back() {
        let money = |minor| Amount { minor, currency: Currency::parse("EUR").unwrap() };
        let at = r#""occurred_at":"2024-01-01T00:00:00.007Z""#;
        for (body, name, rest) in [
            (Body::OrderCompleted(money(1234)), "order.completed", r#","amount":"12.34""#),
            (Body::OrderCompleted(money(0)), "order.completed", r#","amount":"0.00""#),
            (Body::OrderRefunded(money(5)), "order.refunded", r#","amount":"0.05""#),
            (Body::AcquisitionRecorded(money(700)), "acquisition.recorded", r#","cost":"7.00""#),
        ] {
            let start = format!(r#"{{"type":"{name}","customer_id":"c1""#);
            check(body, &format!(r#"{start},{at}{rest},"currency":"EUR"}}"#));
        }
        for (body, name) in [
            (Body::CartAbandoned, "cart.abandoned"),
            (Body::SupportContacted, "support.contacted"),
            (Body::CustomerErased, "customer.erased"),
        ] {
            check(body, &format!(r#"{{"type":"{name}","customer_id":"c1",{at}}}"#));
        }
        let cancelled = r#"{"type":"order.cancelled","customer_id":"c1","order_id":"o1","#;
        check(Body::OrderCancelled, &format!("{cancelled}{at}}}"));
    }

    #[test]
    fn quantities_are_plain_numbers_without_idle_zeros() {
        let at = r#""occurred_at":"2024-01-01T00:00:00.007Z""#;
        for (thousandths, text) in [
            (0, "0"),
            (1, "0.001"),
            (1000, "1"),
            (1250, "1.25"),
            (10_000, "10"),
            (1_000_000_000_000, "1000000000"),
            (999_999_999_999, "999999999.999"),
        ] {
            let start = r#"{"type":"usage.recorded","customer_id":"c1","#;
            let expect = format!(r#"{start}{at},"quantity":{text}}}"#);
            check(Body::UsageRecorded { thousandths }, &expect);
        }
    }

    #[test]
    fn every_field_is_written_and_strings_are_escaped() {
        let event = Event {
            customer_id: "c\"1\0".into(),
            occurred_at_ms: -1,
            event_id: Some("e1".into()),
            order_id: Some("o/ü".into()),
            channel: Some("web".into()),
            body: Body::CartAbandoned,
        };
        let head = r#"{"type":"cart.abandoned","event_id":"e1","customer_id":"c\"1\u0000","#;
        let rest = r#""order_id":"o/ü","occurred_at":"1969-12-31T23:59:59.999Z","channel":"web"}"#;
        check_event(&event, &format!("{head}{rest}"));
    }
}
