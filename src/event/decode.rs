//! Bytes to an [`Event`], or to a [`Rejection`] that names the field, the value and the remedy.
//! It must not panic, read a clock, or accept what `encode` would not write back. Called by the
//! `engine` for its lanes, and by the tests.

use std::borrow::Cow;

use super::fields::{Fields, Name, text};
use super::rejection::{Reason, Rejection, shortened};
use super::values::{CHANNEL_BYTES_MAX, ID_BYTES_MAX, money, occurred_at_ms, string, thousandths};
use super::{Body, Event, Kind};
use crate::money::{Currency, Rates};

/// The largest payload in bytes.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// What decoding needs to know of the configuration.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The base currency, and that of events that name none.
    pub currency: Currency,
    /// The other currencies that can be converted.
    pub rates: Rates,
    /// How far an event may be dated ahead of its record's timestamp; `None` sets no bound.
    pub future_skew_max_ms: Option<i64>,
}

/// A record as it came from Kafka, or a row dressed up as one.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The record's value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's own timestamp in epoch milliseconds.
    pub timestamp_ms: Option<i64>,
}

/// Reads one event.
///
/// # Errors
/// The first fault in the order of [`Reason::ALL`].
pub fn decode(envelope: Envelope<'_>, intake: &Intake) -> Result<Event, Rejection> {
    let fields = Fields::read(payload(&envelope)?)?;
    let kind = kind(&fields)?;
    if let Some(name) = fields.twice() {
        return Err(name.bad("the field is given twice; give it once"));
    }
    let event = Event {
        customer_id: string(&fields, Name::CustomerId, ID_BYTES_MAX)?.unwrap_or_default().into(),
        occurred_at_ms: occurred_at_ms(fields.get(Name::OccurredAt).unwrap_or_default())?,
        event_id: string(&fields, Name::EventId, ID_BYTES_MAX)?.map(Into::into),
        order_id: string(&fields, Name::OrderId, ID_BYTES_MAX)?.map(Into::into),
        channel: string(&fields, Name::Channel, CHANNEL_BYTES_MAX)?.map(Into::into),
        body: body(kind, &fields, intake)?,
    };
    check_key(&event, envelope.key)?;
    check_future(&event, envelope.timestamp_ms, intake)?;
    Ok(event)
}

/// Whom a payload names, and when; what cannot be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The customer.
    pub customer_id: Option<Cow<'a, str>>,
    /// When it happened.
    pub occurred_at_ms: Option<i64>,
}

/// Reads of a payload what is readable, however wrong the rest of it is.
pub fn subject(payload: &[u8]) -> Subject<'_> {
    let Ok(fields) = Fields::read(payload) else { return Subject::default() };
    let occurred_at = fields.get(Name::OccurredAt).filter(|_| fields.twice().is_none());
    Subject {
        customer_id: fields.get(Name::CustomerId).and_then(text),
        occurred_at_ms: occurred_at.and_then(|value| occurred_at_ms(value).ok()),
    }
}

fn payload<'a>(envelope: &Envelope<'a>) -> Result<&'a [u8], Rejection> {
    let payload = envelope.payload.unwrap_or_default();
    if payload.is_empty() {
        let detail = "the payload is empty; an event is a JSON object";
        return Err(Rejection::new(Reason::NotJson, detail));
    }
    if payload.len() > EVENT_BYTES_MAX {
        let n_bytes = payload.len();
        let detail =
            format!("the payload has `{n_bytes}` bytes; an event has at most {EVENT_BYTES_MAX}");
        return Err(Rejection::new(Reason::TooLarge, &detail));
    }
    Ok(payload)
}

/// The type of the event, once it is known that every field which it requires is there.
fn kind(fields: &Fields<'_>) -> Result<Kind, Rejection> {
    let missing = |name: Name, of: &str| {
        let detail = format!("{}: the field is missing; {of} requires it", name.as_str());
        Rejection::new(Reason::MissingField, &detail)
    };
    for name in [Name::Type, Name::CustomerId, Name::OccurredAt] {
        fields.get(name).ok_or_else(|| missing(name, "every event"))?;
    }
    let value = fields.get(Name::Type).unwrap_or_default();
    let kind = text(value).and_then(|name| Kind::parse(&name)).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::as_str).join("`, `");
        let detail = format!("type: `{}` is unknown; it is one of `{names}`", shortened(value));
        Rejection::new(Reason::UnknownType, &detail)
    })?;
    let required = match kind {
        Kind::OrderCompleted | Kind::OrderRefunded => Name::Amount,
        Kind::OrderCancelled => Name::OrderId,
        Kind::AcquisitionRecorded => Name::Cost,
        Kind::CartAbandoned
        | Kind::UsageRecorded
        | Kind::SupportContacted
        | Kind::CustomerErased => return Ok(kind),
    };
    fields.get(required).ok_or_else(|| missing(required, kind.as_str()))?;
    Ok(kind)
}

fn body(kind: Kind, fields: &Fields<'_>, intake: &Intake) -> Result<Body, Rejection> {
    Ok(match kind {
        Kind::OrderCompleted => Body::OrderCompleted(money(fields, Name::Amount, 0, intake)?),
        Kind::OrderRefunded => Body::OrderRefunded(money(fields, Name::Amount, 1, intake)?),
        Kind::AcquisitionRecorded => {
            Body::AcquisitionRecorded(money(fields, Name::Cost, 0, intake)?)
        }
        Kind::UsageRecorded => Body::UsageRecorded { thousandths: thousandths(fields)? },
        Kind::OrderCancelled => Body::OrderCancelled,
        Kind::CartAbandoned => Body::CartAbandoned,
        Kind::SupportContacted => Body::SupportContacted,
        Kind::CustomerErased => Body::CustomerErased,
    })
}

/// A customer's events share a partition only if each is keyed by the customer.
fn check_key(event: &Event, key: Option<&[u8]>) -> Result<(), Rejection> {
    if key == Some(event.customer_id.as_bytes()) {
        return Ok(());
    }
    let found = match key {
        None => "the record has no key".to_owned(),
        Some(key) => {
            let key = String::from_utf8_lossy(key);
            format!("the record's key is `{}`", shortened(&key))
        }
    };
    let customer_id = shortened(&event.customer_id);
    let detail = format!("{found}; key this customer's events by `{customer_id}`");
    Err(Rejection::new(Reason::KeyMismatch, &detail))
}

fn check_future(event: &Event, at_ms: Option<i64>, intake: &Intake) -> Result<(), Rejection> {
    let (Some(at_ms), Some(skew_max_ms)) = (at_ms, intake.future_skew_max_ms) else {
        return Ok(());
    };
    if event.occurred_at_ms <= at_ms.saturating_add(skew_max_ms) {
        return Ok(());
    }
    let ahead_ms = event.occurred_at_ms.saturating_sub(at_ms);
    let detail = format!(
        "occurred_at: the event is dated `{ahead_ms}` ms ahead of its record; at most \
         {skew_max_ms} ms are allowed (`processing.future_skew_max_s`)"
    );
    Err(Rejection::new(Reason::Future, &detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;

    use crate::money::Amount;

    const KEY: Option<&[u8]> = Some(b"c1");
    const BASE: &str = r#""customer_id":"c1","occurred_at":"2024-01-01T00:00:00Z""#;

    fn intake() -> Intake {
        let [base, other] = ["EUR", "USD"].map(|code| Currency::parse(code).unwrap());
        let rates = Rates([(other, Decimal::new(9, 1))].into());
        Intake { currency: base, rates, future_skew_max_ms: Some(60_000) }
    }

    fn read(payload: &[u8], key: Option<&[u8]>, timestamp_ms: i64) -> Result<Event, Rejection> {
        let envelope = Envelope { payload: Some(payload), key, timestamp_ms: Some(timestamp_ms) };
        decode(envelope, &intake())
    }

    /// Goal: a payload is accepted, or refused for `expect`: a reason and a part of the detail.
    fn check(payload: impl AsRef<[u8]>, expect: Result<(), (Reason, &str)>) {
        let payload = payload.as_ref();
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(300)]).into_owned();
        match (read(payload, KEY, i64::MAX), expect) {
            (Ok(_), Ok(())) => {}
            (Err(rejection), Err((reason, part))) => {
                assert_eq!(rejection.reason, reason, "{shown}: {rejection}");
                assert!(rejection.detail.contains(part), "{shown}: {rejection}");
                assert!(rejection.detail.len() <= 512);
            }
            (got, expect) => panic!("{shown}: got {got:?}, expected {expect:?}"),
        }
    }

    fn order(fields: &str) -> String {
        format!(r#"{{"type":"order.completed",{BASE},{fields}}}"#)
    }

    #[test]
    fn a_full_event_is_read_field_by_field() {
        let payload = order(
            r#""event_id":"e1","order_id":"o\u00fc","amount":12.5,"currency":"USD",
            "channel":"web","cost":"no","quantity":[],"items":[{"sku":1}],"extra":{"a":null}"#,
        );
        let currency = Currency::parse("USD").unwrap();
        let expect = Event {
            customer_id: "c1".into(),
            occurred_at_ms: 1_704_067_200_000,
            event_id: Some("e1".into()),
            order_id: Some("oü".into()),
            channel: Some("web".into()),
            body: Body::OrderCompleted(Amount { minor: 1250, currency }),
        };
        assert_eq!(read(payload.as_bytes(), KEY, 1_704_067_200_000), Ok(expect));
    }

    #[test]
    fn null_and_absence_are_one_and_defaults_fill_in() {
        let nulls = r#""amount":"1","event_id":null,"order_id":null,"channel":null"#;
        let event = read(order(nulls).as_bytes(), KEY, i64::MAX).unwrap();
        assert_eq!((event.event_id, event.order_id, event.channel), (None, None, None));
        let amount = Amount { minor: 100, currency: intake().currency };
        assert_eq!(event.body, Body::OrderCompleted(amount));
        let usage = format!(r#"{{"type":"usage.recorded",{BASE},"quantity":null}}"#);
        let event = read(usage.as_bytes(), KEY, i64::MAX).unwrap();
        assert_eq!(event.body, Body::UsageRecorded { thousandths: 1000 });
    }

    /// Goal: an input with two faults is refused for the one that is first in `Reason::ALL`.
    #[test]
    fn reasons_are_given_in_order_of_precedence() {
        let big = " ".repeat(EVENT_BYTES_MAX);
        let at = r#""occurred_at":"2024-01-01T00:00:00Z""#;
        let order = r#""type":"order.completed""#;
        for (payload, expect) in [
            (format!("{big}{{"), Reason::TooLarge),
            (format!(r#"{{"type":"no",{at}"#), Reason::NotJson),
            (format!(r#"{{"type":"no",{at}}}"#), Reason::MissingField),
            (format!(r#"{{"customer_id":"","type":"no",{at}}}"#), Reason::UnknownType),
            (format!(r#"{{"customer_id":"",{order},{at}}}"#), Reason::MissingField),
            (
                format!(r#"{{"customer_id":"b",{order},{at},"amount":"x","currency":"GBP"}}"#),
                Reason::BadValue,
            ),
            (
                format!(r#"{{"customer_id":"b",{order},{at},"amount":"1","currency":"GBP"}}"#),
                Reason::UnknownCurrency,
            ),
            (format!(r#"{{"customer_id":"b",{order},{at},"amount":"1"}}"#), Reason::KeyMismatch),
            (format!(r#"{{"customer_id":"c1",{order},{at},"amount":"1"}}"#), Reason::Future),
        ] {
            assert_eq!(read(payload.as_bytes(), KEY, 0).unwrap_err().reason, expect, "{payload}");
        }
    }

    #[test]
    fn what_is_not_one_json_object_is_not_json() {
        let bad = |part| Err((Reason::NotJson, part));
        let whole = order(r#""amount":"1""#);
        check("", bad("empty"));
        check(" ", bad("EOF"));
        check("[1]", bad("`[1]` is not a JSON object"));
        check("7", bad("`7` is not a JSON object"));
        check(format!("\"{}\"", "x".repeat(9999)), bad("x…` is not a JSON object"));
        check(format!("{whole}x"), bad("trailing"));
        check(format!("{whole}{whole}"), bad("trailing"));
        check(format!("\u{feff}{whole}"), bad("expected value"));
        check(whole.strip_suffix('}').unwrap(), bad("EOF"));
        check(order("\"amount\":\"1\",\"x\":\"a\nb\""), bad("control character"));
        check(order(r#""amount":NaN"#), bad("expected value"));
        check(order(r#""amount":01"#), bad("invalid number"));
        check(b"{\"type\":\"order.completed\",\"x\":\"\xff\"}", bad("UTF-8"));
        check("[".repeat(EVENT_BYTES_MAX), bad("is not a JSON object"));
        check(order(&format!("\"x\":{}", "[".repeat(900_000))), bad("expected value"));
        let envelope = Envelope { payload: None, key: KEY, timestamp_ms: None };
        assert_eq!(decode(envelope, &intake()).unwrap_err().reason, Reason::NotJson);
    }

    #[test]
    fn nesting_in_an_ignored_field_is_ignored_however_deep() {
        let [open, close] = ["[", "]"].map(|bracket| bracket.repeat(500_000));
        check(order(&format!(r#""amount":"1","items":{open}{close}"#)), Ok(()));
        check(
            order(&format!(r#""amount":{open}{close}"#)),
            Err((Reason::BadValue, "is longer than 64 characters")),
        );
    }

    #[test]
    fn missing_fields_and_unknown_types_name_themselves() {
        for (payload, name) in [
            (r#"{"customer_id":"c1","occurred_at":1}"#, "type"),
            (r#"{"type":"cart.abandoned","occurred_at":1}"#, "customer_id"),
            (r#"{"type":"cart.abandoned","customer_id":"c1"}"#, "occurred_at"),
            (r#"{"type":"cart.abandoned","customer_id":null,"occurred_at":1}"#, "customer_id"),
        ] {
            check(payload, Err((Reason::MissingField, &format!("{name}: the field is missing"))));
        }
        for (kind, name) in [
            ("order.completed", "amount"),
            ("order.refunded", "amount"),
            ("order.cancelled", "order_id"),
            ("acquisition.recorded", "cost"),
        ] {
            let expect = format!("{name}: the field is missing; {kind} requires it");
            check(format!(r#"{{"type":"{kind}",{BASE}}}"#), Err((Reason::MissingField, &expect)));
        }
        for kind in [r#""order""#, r#""""#, r#""Order.completed""#, "1", "{}"] {
            let expect = format!("type: `{kind}` is unknown; it is one of `order.completed`");
            check(format!(r#"{{"type":{kind},{BASE}}}"#), Err((Reason::UnknownType, &expect)));
        }
    }

    #[test]
    fn a_known_field_is_given_once_and_others_as_often_as_one_likes() {
        let twice = |name: &str| format!("{name}: the field is given twice");
        for (fields, name) in [
            (r#""amount":"1","amount":"1""#, "amount"),
            (r#""amount":"1","amo\u0075nt":"2""#, "amount"),
            (r#""amount":"1","quantity":null,"quantity":1"#, "quantity"),
            (r#""amount":"1","type":"order.completed""#, "type"),
        ] {
            check(order(fields), Err((Reason::BadValue, &twice(name))));
        }
        check(order(r#""amount":"1","items":1,"items":2,"Amount":3"#), Ok(()));
    }

    #[test]
    fn the_key_is_the_customer_id_byte_for_byte() {
        let payload = |id: &str| {
            format!(r#"{{"type":"cart.abandoned","customer_id":"{id}","occurred_at":1}}"#)
        };
        for (id, key, expect) in [
            ("c1", Some(&b"c1"[..]), true),
            ("c\\u0000", Some(b"c\0"), true),
            ("ü", Some(b"\xc3\xbc"), true),
            ("c1", Some(b"c1\0"), false),
            ("c1", Some(b"C1"), false),
            ("c1", Some(b""), false),
            ("ü", Some(b"\xfc"), false),
            ("c1", None, false),
        ] {
            let got = read(payload(id).as_bytes(), key, i64::MAX).map_err(|error| error.reason);
            assert_eq!(got.is_ok(), expect, "{id} {key:?}");
            assert!(expect || got == Err(Reason::KeyMismatch), "{id} {key:?}");
        }
    }

    #[test]
    fn future_is_measured_from_the_records_own_timestamp() {
        let payload = format!(r#"{{"type":"cart.abandoned",{BASE}}}"#);
        let at_ms = 1_704_067_200_000;
        let skew_ms = 60_000;
        assert!(read(payload.as_bytes(), KEY, at_ms - skew_ms).is_ok());
        let rejection = read(payload.as_bytes(), KEY, at_ms - skew_ms - 1).unwrap_err();
        assert_eq!(rejection.reason, Reason::Future);
        assert!(rejection.detail.contains("dated `60001` ms ahead"), "{rejection}");
        assert!(read(payload.as_bytes(), KEY, i64::MIN).is_err());
        let unstamped =
            Envelope { payload: Some(payload.as_bytes()), key: KEY, timestamp_ms: None };
        assert!(decode(unstamped, &intake()).is_ok());
        let replay = Intake { future_skew_max_ms: None, ..intake() };
        assert!(decode(Envelope { timestamp_ms: Some(0), ..unstamped }, &replay).is_ok());
    }
}
